"""`bash`: a script in a shell, with values that are variables and never part of it."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_forms import HOSTILE, bash_outputs, outputs, run_outputs

from aiodag import StageFailed
from aiodag.commands import CommandFailed
from aiodag.workflows.jobs.stages.shell_source import shell_source, variable_of_value

PLACES = r"""
show() { for each; do printf '<%s>\0' "$each"; done; }
show ${{ params.x }} a${{ params.x }}b
show "${{ params.x }}" "a${{ params.x }}b" "${EMPTY:-${{ params.x }}}" ${EMPTY:-${{ params.x }}}
show '${{ params.x }}' 'a${{ params.x }}b' $'a${{ params.x }}b'
show "$(printf '%s.' ${{ params.x }})" "$(printf '%s.' '${{ params.x }}')" "`printf '%s.' "${{ params.x }}"`"
x=${{ params.x }}; show "$x" # ${{ params.x }} it's a comment
show "$(cat <<EOF
${{ params.x }}.
EOF
)"
show "$(cat <<-'END'
	it's "quoted" $x
	END
)" ${{ params.x }}
case ${{ params.x }} in ${{ params.x }}) show same;; *) show other;; esac
[[ ${{ params.x }} == '${{ params.x }}' ]] && show equal
show \\${{ params.x }} "it's" '"'${{ params.x }}'"'
"""


@pytest.mark.parametrize("value", HOSTILE)
async def test_a_value_does_nothing_in_a_script_but_to_be_itself(value, tmp_path):
    found = await bash_outputs(PLACES, {"x": value}, workdir=str(tmp_path))

    x = value
    shown = [x, f"a{x}b", x, f"a{x}b", x, x, x, f"a{x}b", f"a{x}b", f"{x}.", f"{x}.", f"{x}.", x, f"{x}."]
    shown += ['\tit\'s "quoted" $x'.strip(), x, "same", "equal", f"\\{x}", "it's", f'"{x}"']
    assert found["stdout"].split("\0")[:-1] == [f"<{each}>" for each in shown]
    assert list(tmp_path.iterdir()) == []


FRAGMENTS = [
    *["${{ x }}"] * 6, "echo ", " ", "\n", "'", '"', "`", "$(", ")", "${y:-", "}", "$'", "\\", "#", ";", "|", "&&", "(", "{ ",
    "<<EOF\n", "\nEOF\n", "<<'EOF'\n", "<<-E\n", "\n\tE\n", "case x in x) ", ";; esac", "if true; then ", "; fi", "x=", "[[ ", " ]]", " == ",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12), st.sampled_from(["bash", "dash"]))
def test_whatever_a_script_is_a_value_is_never_a_part_of_it(fragments, shell):
    source = shell_source(tuple("".join(fragments).split("${{ x }}")))
    harm = "$(touch pwned)`touch pwned`;touch pwned;\ntouch pwned\n'; touch pwned; '\"; touch pwned; \"\n"
    values = {variable_of_value(number): harm for number in range(1, 20)}
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(
            [shell, "-c", source.text], cwd=place, env={**os.environ, **values}, capture_output=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert not any(Path(place).iterdir())


@pytest.mark.parametrize("place", ["$(( {} + 1 ))", "$[ {} + 1 ]"])
@pytest.mark.parametrize("value", ["a[$(touch pwned)]", "x=1", "", "1.5", 2.5, True, None, 10**18, " 1", "１"])
async def test_where_a_shell_calculates_only_a_whole_number_gets_in(place, value, tmp_path):
    script = "echo " + place.format("${{ params.n }}")
    with pytest.raises(StageFailed, match="expression 1 of the script stands where the shell calculates"):
        await bash_outputs(script, {"n": value}, workdir=str(tmp_path))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "script",
    [
        "echo $(( ${{ params.n }} ))",
        "echo $[ ${{ params.n }} ]",
        "(( n = ${{ params.n }} )); echo $n",
        "let n=${{ params.n }}; echo $n",
        "let 'n = ${{ params.n }}'; echo $n",
        "declare -i n=${{ params.n }}; echo $n",
        "a[${{ params.n }}]=x; echo ${!a[@]}",
        'a["${{ params.n }}"]=x; echo ${!a[@]}',
        "a=(0 1 2 3 4 5); echo ${a[${{ params.n }}]}",
        "[[ ${{ params.n }} -eq 3 ]] && echo 3",
        '[[ 2 -lt "${{ params.n }}" ]] && echo 3',
        "y=abc3; echo ${y:${{ params.n }}}",
        'y=a3; set -- 0 "${y:0 + 1:${{ params.n }}}"; echo "${@:${{ params.n }} - 1}"',
        "for ((i = ${{ params.n }}; i < 4; i++)); do echo $i; done",
    ],
)
async def test_each_place_of_arithmetic_is_known(script, tmp_path):
    with pytest.raises(StageFailed, match="has to be a whole number there, and is 'a"):
        await bash_outputs(script, {"n": "a[$(touch pwned)]"}, workdir=str(tmp_path))

    assert (await bash_outputs(script, {"n": 3}))["stdout"] == "3\n"
    assert list(tmp_path.iterdir()) == []


async def test_values_beside_those_places_stay_words(tmp_path):
    script = (
        "trap - ${{ params.signal }}; y=abc; echo ${z:-${{ params.n }}} ${y/b/${{ params.n }}}\n"
        "bash script.sh <<END\n${{ params.n }}\nEND\n"
    )
    (tmp_path / "script.sh").write_text("cat")
    found = await bash_outputs(script, {"n": "$(touch pwned)", "signal": "TERM"}, workdir=str(tmp_path))

    assert found["stdout"] == "$(touch pwned) a$(touch pwned)c\n$(touch pwned)\n"


async def test_a_script_prints_and_what_it_printed_are_its_outputs():
    found = await bash_outputs("echo rows\necho careful >&2\n")

    assert found == {"return_code": 0, "stdout": "rows\n", "stderr": "careful\n"}


async def test_a_script_may_write_outputs_of_its_own():
    script = """
echo "rows=3" >> "$AIODAG_OUTPUT"
(echo "path=a=b"; echo) >> $AIODAG_OUTPUT
printf 'text<<END\\none\\ntwo=2\\nEND\\n' > $AIODAG_OUTPUT
"""
    found = await bash_outputs(script)

    assert found == {"rows": "3", "path": "a=b", "text": "one\ntwo=2", "return_code": 0, "stdout": "", "stderr": ""}
    with pytest.raises(StageFailed, match=r"^wrote 'rows' to \$AIODAG_OUTPUT, which takes lines such as rows=3"):
        await bash_outputs("echo rows >> $AIODAG_OUTPUT")
    with pytest.raises(StageFailed, match="wrote more than 1,048,576 bytes"):
        await bash_outputs("head -c 2000000 /dev/zero >> $AIODAG_OUTPUT")


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("exit 3", "exit 3"),
        ("# loads it\n\n  cd /tmp\ntrue\nexit 3\n", "cd /tmp …"),
        ("exit 3 # " + "-" * 5000, "exit 3 # " + "-" * 191 + " …"),
    ],
)
async def test_a_failure_shows_the_script_in_one_line(script, shown):
    with pytest.raises(CommandFailed) as caught:
        await bash_outputs(script)
    assert caught.value.command == ("bash", "-c", shown)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("script", "code", "says"),
    [
        ("echo gone >&2; exit 3; echo not", 3, "exit code 3: gone"),
        ("false\necho not reached", 1, "exit code 1"),
        ("false | cat", 1, "exit code 1"),
        ("kill -9 $$", -9, "ended by SIGKILL"),
        ("no-such-program", 127, "command not found"),
        ("echo 'unclosed", 2, "unexpected EOF"),
    ],
)
async def test_a_script_that_fails_fails_its_stage(script, code, says):
    with pytest.raises(CommandFailed, match=says) as caught:
        await bash_outputs(script)
    assert (caught.value.code, "not" in caught.value.finished.stdout) == (code, False)


async def test_what_looks_like_a_variable_is_the_shells(monkeypatch):
    monkeypatch.setenv("HERE", "there")
    script = "echo ${HERE} $HERE ${NONE:-none} ${OWN} '${HERE}' $(( 1 + 1 ))"
    found = await bash_outputs(script, env={"OWN": "own ${HERE}"})

    assert found["stdout"] == "there there none own there ${HERE} 2\n"


async def test_a_script_of_any_length_is_run_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    long = "".join(f": {number:6} {'x' * 90}\n" for number in range(11_000))
    long += "read line || echo nothing; echo $0 ${{ params.x }}"

    assert (await bash_outputs(long, {"x": "a b"}))["stdout"] == "nothing\nbash a b\n"
    assert await run_outputs(f"{'# x' * 60_000}\nx = ${{{{ params.x }}}}", {"x": "a"}) == {"x": "a"}
    assert list(tmp_path.iterdir()) == []


async def test_a_value_that_no_variable_holds_is_refused_with_another_way():
    why = r"has 200,000 characters, and a variable takes 100,000\. Write the value to a file"
    with pytest.raises(StageFailed, match=why):
        await bash_outputs("echo ${{ params.x }}", {"x": "x" * 200_000})
    assert await run_outputs("size = len(${{ params.x }})", {"x": "x" * 200_000}) == {"size": 200_000}


async def test_another_shell_can_be_named_and_one_that_is_missing_is_said(monkeypatch, tmp_path):
    found = await bash_outputs("echo $0 '${{ params.x }}'", {"x": "a'b"}, shell="sh")
    assert found["stdout"] == "sh a'b\n"

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandFailed, match="no directory of PATH has a program 'bash'"):
        await bash_outputs("echo")


async def test_run_with_a_shell_is_a_script():
    found = await outputs({"run": "echo ${{ params.x }}", "shell": "bash"}, params={"x": "a  b"})

    assert found["stdout"] == "a  b\n"


READ_AGAIN = [
    "eval ${{ params.x }}\n", "\\eval ${{ params.x }}\n", "trap 'rm ${{ params.x }}' EXIT", 'trap -- "rm ${{ params.x }}" EXIT',
    "f() { local -n r=${{ params.x }}; }", "wait -p ${{ params.x }}", 'sudo bash -e <<< "rm ${{ params.x }}"',
]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("echo ${{ params.x }}\n" * 1001, "has 1,001 expressions, and 1,000 are the most"),
        ("$(( " * 100_000 + "${{ params.x }}", "line 1: is nested deeper than 200 quotes and brackets"),
        *((script, "line 1: .* reads a value again, as code or as the name of a variable") for script in READ_AGAIN),
        ("bash -s a <<END\nrm ${{ params.x }}\nEND\n", "line 2: .* reads a value again"),
        ("cat <<'END'\n${{ params.x }}\nEND\n", "line 2: .* here-document that ends with 'END', which is quoted"),
        ("echo _aiodag_value_1_", "names that begin with _aiodag_value_ stand for values"),
    ],
)
def test_a_script_that_cannot_be_filled_in_safely_is_refused(script, fault):
    (found,) = shell_source(tuple(script.split("${{ params.x }}"))).faults

    assert re.match(fault, found)
