"""What a run begins with: a file, a task in it, and arguments that people type."""

import enum
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import pytest

from aiodag.errors import EntryError
from aiodag.names import import_file
from aiodag.secret import Secret
from aiodag.service.binding import bind, candidates, entry_of, find, load_entry
from aiodag.service.conversion import convert_text
from aiodag.service.entry import Entry, parse_target

SOURCE = """
from aiodag import task

@task
async def fetch(url: str, *, times: int = 1) -> str:
    return url * times

@task
async def report(rows: list[int]) -> int:
    return sum(rows)

async def plain(day: str) -> str:
    return day

async def _hidden() -> None: ...

def helper() -> None: ...
"""


@pytest.fixture
def source(tmp_path, request):
    name = f"entry_{abs(hash(request.node.name))}"
    path = tmp_path / f"{name}.py"
    path.write_text(SOURCE)
    yield path
    sys.modules.pop(name, None)
    sys.path[:] = [place for place in sys.path if place != str(tmp_path)]


class Colour(enum.Enum):
    RED = "r"


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("etl.py", ("etl.py", None)),
        ("etl.py:main", ("etl.py", "main")),
        ("C:\\etl.py:main", ("C:\\etl.py", "main")),
        ("a:b/etl.py", ("a:b/etl.py", None)),
    ],
)
def test_targets(target, parts):
    assert parse_target(target) == parts


def test_an_entry_keeps_its_file_its_task_and_what_was_typed(source):
    entry = entry_of(f"{source}:fetch", ["url=a=b", "times=2"])

    assert entry == Entry(str(source.resolve()), "fetch", {"url": "a=b", "times": "2"})
    assert bind(entry, load_entry(entry)) == {"url": "a=b", "times": 2}


def test_the_candidates_of_a_file_are_its_tasks_and_coroutine_functions(source):
    assert candidates(import_file(str(source))) == ["fetch", "report", "plain"]


def test_a_file_is_imported_once(source):
    assert import_file(str(source)) is import_file(str(source))


@pytest.mark.parametrize(
    ("suffix", "given", "said"),
    [
        ("", [], r"has fetch, report, plain: say which, such as"),
        (":fetsh", [], r"has no task 'fetsh'; did you mean 'fetch'\? it has fetch, report, plain"),
        (":helper", [], r"has no task 'helper'"),
        (":fetch", [], r"missing a required argument: 'url'"),
        (":fetch", ["url=a", "nope=1"], r"unexpected keyword argument 'nope'"),
        (":fetch", ["url=a", "url=b"], r"parameter 'url' is given twice: 'a' and 'b'"),
        (":fetch", ["url"], r"parameter 'url': write name=value"),
        (":fetch", ["url=a", "times=many"], r"parameter times='many' of fetch is not int"),
        (":report", ["rows=[1"], r"parameter rows='\[1' of report is not list\[int\]"),
    ],
)
def test_what_cannot_be_run_says_what_would_work(source, suffix, given, said):
    with pytest.raises(EntryError, match=said):
        entry_of(f"{source}{suffix}", given)


def test_a_missing_file(tmp_path):
    with pytest.raises(EntryError, match="no such file"):
        entry_of(str(tmp_path / "nowhere.py"))


def test_a_file_that_cannot_be_imported_says_why(tmp_path):
    path = tmp_path / "broken_entry.py"
    path.write_text("import no_such_module_anywhere")

    with pytest.raises(EntryError, match="importing it raised ModuleNotFoundError: No module named 'no_such"):
        import_file(str(path))
    assert "broken_entry" not in sys.modules


@pytest.mark.parametrize(
    "last",
    ["asyncio.run(main())", "with asyncio.Runner() as runner:\n    runner.run(main())", "raise SystemExit(1)"],
    ids=["run", "runner", "exit"],
)
def test_a_file_that_fails_because_it_runs_something_says_where_that_belongs(tmp_path, last):
    path = tmp_path / "unguarded.py"
    path.write_text(f"import asyncio\n\n\nasync def main():\n    raise ValueError('no rows')\n\n\n{last}\n")

    with pytest.raises(
        EntryError, match=r"importing it raised \w+: (no rows|1)\. .* below `if __name__ == \"__main__\":`$"
    ):
        import_file(str(path))
    assert "unguarded" not in sys.modules


def test_a_file_that_fails_of_itself_is_given_no_such_advice(tmp_path):
    path = tmp_path / "of_itself.py"
    path.write_text("raise ValueError('no rows')")

    with pytest.raises(EntryError, match=r"importing it raised ValueError: no rows$"):
        import_file(str(path))


def test_a_file_with_the_name_of_a_loaded_module_is_refused(tmp_path):
    path = tmp_path / "json.py"
    path.write_text(SOURCE)
    assert "json" in sys.modules

    with pytest.raises(EntryError, match="a module 'json' is loaded already: rename the file"):
        import_file(str(path))


def test_code_that_has_gone_is_told(source):
    entry = entry_of(f"{source}:fetch", ["url=a"])._replace(task="gone")

    with pytest.raises(EntryError, match="has no task 'gone'"):
        load_entry(entry)


def test_a_signature_that_has_changed_is_told(source):
    entry = entry_of(f"{source}:fetch", ["url=a"])._replace(parameters={"address": "a"})

    with pytest.raises(EntryError, match=r"missing a required argument: .url"):
        bind(entry, find(entry.file, import_file(entry.file), "fetch"))


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("3", int, 3),
        ("1e3", float, 1000.0),
        ("Yes", bool, True),
        ("0", bool, False),
        ("a b", str, "a b"),
        ("/x", Path, Path("/x")),
        ("0.10", Decimal, Decimal("0.10")),
        ("90", timedelta, timedelta(seconds=90)),
        ("2026-01-02", date, date(2026, 1, 2)),
        ("2026-01-02T03:04:05+00:00", datetime, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("12345678-1234-5678-1234-567812345678", UUID, UUID("12345678-1234-5678-1234-567812345678")),
        ("RED", Colour, Colour.RED),
        ("r", Colour, Colour.RED),
        ("3", int | None, 3),
        ("none", int | None, None),
        ("3", int | str, 3),
        ("x", int | str, "x"),
        ("b", Literal["a", "b"], "b"),
        ("2", Literal[1, 2], 2),
        ("[1, 2]", list[int], [1, 2]),
        ('{"a": 1}', dict[str, int], {"a": 1}),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        ("5", Annotated[int, "of rows"], 5),
    ],
)
def test_texts_become_what_annotations_say(text, hint, value):
    made = convert_text(text, hint)

    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x", int),
        ("maybe", bool),
        ("c", Literal["a", "b"]),
        ("x", Colour),
        ("x", int | float),
        ("x", bytes),
        ("ten", int | None),
        ("1,x", list[int]),
        ('["z"]', list[int]),
        ("[1]", dict[str, int]),
        ("[1.5]", tuple[int, ...]),
    ],
)
def test_texts_that_fit_nothing_are_refused(text, hint):
    with pytest.raises((ValueError, ArithmeticError, TypeError)):
        convert_text(text, hint)


SECRETIVE = """
from typing import TYPE_CHECKING, Annotated, Optional
from aiodag import Secret, task
if TYPE_CHECKING:
    from somewhere import Unknown

async def plain(password: Secret): ...
async def annotated(password: Annotated[str, Secret]): ...
async def optional(password: "Optional[Annotated[str, Secret]]" = None): ...
async def default(password=Secret("OTHER_PASSWORD")): ...
async def unreadable(password: "Secret", other: "Unknown" = None): ...
"""


@pytest.mark.parametrize("name", ["plain", "annotated", "optional", "default", "unreadable"])
def test_a_parameter_that_is_declared_secret_is_given_by_a_name_alone(tmp_path, monkeypatch, name):
    file = tmp_path / f"secretive_{name}.py"
    file.write_text(SECRETIVE)
    monkeypatch.setenv("DB_PASSWORD", "correct horse battery")

    entry = entry_of(f"{file}:{name}", ["password=DB_PASSWORD"])

    assert entry.parameters == {"password": "DB_PASSWORD"}
    assert bind(entry, load_entry(entry)) == {"password": Secret("DB_PASSWORD")}
    with pytest.raises(
        EntryError, match=r"parameter password is a secret.*-p password=NAME.*-p password=@FILE"
    ) as caught:
        entry_of(f"{file}:{name}", ["password=correct horse battery"])
    assert "horse" not in str(caught.value)


PARTLY_UNREADABLE = """
from functools import wraps
from typing import TYPE_CHECKING
from aiodag import task
if TYPE_CHECKING:
    from somewhere import Unknown

@task
async def load(number: "int", other: "Unknown" = None, *, numbers: "list[int]" = ()): ...

def supplied(fn):
    @wraps(fn)
    async def call(*args, **kwargs):
        return await fn("database", *args, **kwargs)
    return call

@task
@supplied
async def supplied_load(database, number: int): ...
"""


@pytest.fixture
def partly(tmp_path, request):
    file = tmp_path / f"partly_{request.node.name}.py"  # a name of its own: modules stay loaded
    file.write_text(PARTLY_UNREADABLE)
    return file


def test_annotations_that_can_be_read_convert_beside_one_that_cannot(partly):
    entry = entry_of(f"{partly}:load", ["number=3", "other=x", "numbers=[1]"])

    assert bind(entry, load_entry(entry)) == {"number": 3, "other": "x", "numbers": [1]}


def test_an_entry_needs_no_parameter_that_a_decorator_supplies(partly):
    entry = entry_of(f"{partly}:supplied_load", ["number=3"])

    assert bind(entry, load_entry(entry)) == {"number": 3}
    with pytest.raises(EntryError, match="unexpected keyword argument 'nmber'"):
        entry_of(f"{partly}:supplied_load", ["nmber=3"])
    with pytest.raises(EntryError, match="unexpected keyword argument 'kwargs'"):
        entry_of(f"{partly}:supplied_load", ["number=3", "kwargs=3"])


def test_an_entry_is_recorded_as_before_unless_a_schedule_has_released_it(source):
    entry = entry_of(f"{source}:fetch", ["url=a"])
    released = entry._replace(release={"logical_date": "2026-01-01T00:00:00+00:00"})

    assert list(entry.recorded()) == ["file", "task", "parameters"]
    assert Entry(**released.recorded()) == released
