"""`run`: Python in a process of its own, with values that are data and never source."""

import logging
import threading
from datetime import UTC, date, datetime

import pytest
from stage_forms import HOSTILE, node_of, outputs, run_outputs, written_by

from aiodag import Run, RunFailed, StageFailed
from aiodag.commands import CommandFailed
from aiodag.stores import Memory


async def test_run_returns_the_variables_that_json_can_hold(caplog):
    source = """
import math
from datetime import date
rows = [1, (2, 3)]
total, root, nothing = 6, math.sqrt(4), None
day = date(2024, 1, 1)
half = "\\ud800"
huge = 10 ** 5000
missing = float("nan")
_own = 1
def function(): ...
class Kind: ...
"""
    with caplog.at_level(logging.INFO, "aiodag.stage"):
        found = await run_outputs(source)

    assert found == {"rows": [1, [2, 3]], "total": 6, "root": 2.0, "nothing": None}
    assert "are no outputs: day (date), half (str), huge (int), missing (float)" in caplog.text


async def test_an_expression_alone_is_a_value_of_its_type():
    params = {"n": 5, "rows": [1, {"a": None}], "day": datetime(2024, 1, 1, tzinfo=UTC), "on": True}
    source = """
twice = ${{ params.n }} * 2
rows = ${{ params.rows }}
year = ${{ params.day }}.year
same = ${{ params.on }} is True and type(${{ params.day }}).__name__
"""
    assert await run_outputs(source, params) == {
        "twice": 10,
        "rows": [1, {"a": None}],
        "year": 2024,
        "same": "datetime",
    }


@pytest.mark.parametrize("value", HOSTILE)
async def test_a_value_does_nothing_in_a_source_but_to_be_itself(value, tmp_path):
    source = """
'''${{ params.x }}'''
bare = ${{ params.x }}  # ${{ params.x }}
single, double = '<${{ params.x }}>', "<${{ params.x }}>"
long = \"\"\"<${{ params.x }}>\"\"\"
raw, formatted = r'<${{ params.x }}>', f"<${{ params.x }}{bare}>"
encoded = list(b'<${{ params.x }}>')
both = '${{ params.x }}|${{ params.x }}'
"""
    found = await run_outputs(source, {"x": value}, workdir=str(tmp_path))

    within = f"<{value}>"
    assert found == {
        "bare": value,
        "single": within,
        "double": within,
        "long": within,
        "raw": within,
        "formatted": f"<{value}{value}>",
        "encoded": list(within.encode()),
        "both": f"{value}|{value}",
    }
    assert list(tmp_path.iterdir()) == []


async def test_vars_are_variables_and_outputs_only_where_the_source_has_changed_them():
    given = {"rows": [1], "limit": 10, "day": "${{ params.day }}", "who": "${{ params.who }}"}
    source = "rows.append(limit)\nwho = who\nlimit = 11\niso = day.isoformat()"

    found = await run_outputs(source, {"day": date(2024, 1, 1), "who": "anna"}, vars=given)

    assert found == {"rows": [1, 10], "limit": 11, "iso": "2024-01-01"}


async def test_what_a_source_raises_fails_the_stage_with_its_line():
    source = "def divide(a, b):\n    return a / b\n\ndivide(1, 0)"
    with pytest.raises(StageFailed) as caught:
        await run_outputs(source)
    assert str(caught.value) == "ZeroDivisionError: division by zero (line 2 of run)"

    with pytest.raises(StageFailed, match=r"^json.decoder.JSONDecodeError: .*\(line 2 of run\)"):
        await run_outputs("import json\njson.loads('{')")
    with pytest.raises(StageFailed, match=r"^Mine \(line 2 of run\)"):
        await run_outputs("class Mine(BaseException): ...\nraise Mine")


async def test_the_traceback_of_a_source_is_what_python_prints():
    store = Memory()
    with pytest.raises(RunFailed):
        async with Run("flow", store=store) as run:
            node_of({"run": "x = ['a']\nx[${{ params.n }}]"}, {"params": {"n": 1}})
    printed = written_by(store, run, "stderr")

    assert printed.startswith(
        'Traceback (most recent call last):\n  File "<stage>", line 2, in <module>\n    x[${{ params.n }}]\nIndexError'
    )
    assert printed.endswith("IndexError: list index out of range\n")


@pytest.mark.parametrize("end", ["sys.exit()", "sys.exit(0)", "exit()", "raise SystemExit"])
async def test_a_source_may_end_early_and_keeps_what_it_has_bound(end):
    assert await run_outputs(f"import sys\nrows = 3\n{end}\nrows = 4") == {"rows": 3}


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [
        ("sys.exit(3)", 3, "exit code 3, and wrote nothing"),
        ("sys.exit(-1)", 255, "exit code 255"),
        ("sys.exit(256)", 1, "exit code 1"),
        ("sys.exit('no rows')", 1, "exit code 1: no rows"),
        ("os._exit(4)", 4, "exit code 4"),
        ("os.kill(os.getpid(), 9)", -9, "ended by SIGKILL"),
        ("os.abort()", -6, "ended by SIGABRT"),
        ("os.closerange(3, 100)", 1, "Bad file descriptor"),
    ],
)
async def test_a_process_that_ends_as_a_failure_fails_the_stage(end, code, says):
    with pytest.raises(CommandFailed, match=says) as caught:
        await run_outputs(f"import os, sys\n{end}")
    assert caught.value.code == code


async def test_a_process_that_ends_without_an_answer_has_failed():
    with pytest.raises(StageFailed, match=r"before its variables were read: it may not end by os\._exit"):
        await run_outputs("import os\nos._exit(0)")
    with pytest.raises(StageFailed, match="before its variables were read"):
        await run_outputs("import os\nos.execlp('true', 'true')")


async def test_a_fork_that_reaches_the_end_answers_nothing():
    source = "import os\nchild = os.fork()\nrows = 2\nif child: os.waitpid(child, 0)\nelse: rows = 1\ndel child"

    assert await run_outputs(source) == {"rows": 2}


async def test_what_programs_of_a_source_write_to_descriptor_three_is_no_answer():
    source = "import subprocess\ncode = subprocess.run(['sh', '-c', 'echo no >&3']).returncode"

    assert (await run_outputs(source))["code"] != 0


async def test_more_than_can_be_kept_is_an_error_that_says_what():
    with pytest.raises(
        StageFailed, match=r"takes 2,000,00\d bytes as JSON, most of it 'text', and 1,048,576 is the most"
    ):
        await run_outputs("few, text = 1, 'x' * 2_000_000")


async def test_a_source_reads_nothing_from_stdin_and_is_the_main_module():
    source = """
import sys
from dataclasses import dataclass, asdict
@dataclass
class Row:
    n: "int"
found = [__name__, sys.argv, sys.stdin.read(), asdict(Row(1)), sys.stdout.encoding]
"""
    assert await run_outputs(source) == {"found": ["__main__", ["<stage>"], "", {"n": 1}, "utf-8"]}


async def test_a_source_imports_what_this_process_can_import(tmp_path, monkeypatch):
    (tmp_path / "own_module.py").write_text("VALUE = 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert await run_outputs("from own_module import VALUE as value") == {"value": 7}


async def test_variables_of_the_environment_and_a_directory_are_for_the_process(tmp_path, monkeypatch):
    monkeypatch.setenv("HERE", "there")
    source = "import os\nfound = [os.environ[name] for name in ('HERE', 'TOP', 'OWN')]\nplace = os.getcwd()"
    form = {"run": source, "env": {"OWN": "${HERE} ${{ params.n }}", "TOP": True}, "workdir": "${{ params.place }}"}

    found = await outputs(form, params={"n": 3, "place": str(tmp_path)}, env={"TOP": "hidden"})

    assert found == {"found": ["there", "true", "there 3"], "place": str(tmp_path)}


async def test_a_value_that_cannot_leave_this_process_fails_the_stage():
    with pytest.raises(StageFailed, match="a value that it is given cannot go to another process"):
        await run_outputs("print(n)", {"n": threading.Lock()}, vars={"n": "${{ params.n }}"})
