"""What a POSIX shell on another machine is told, and what it answers: lines that it evaluates as it reads them.

Nothing but the shell and what every Linux has is needed there. No script, variable or stdin stands in the arguments of a
process, where others see it: all comes over the shell's stdin.

    sshd ── sh "wrapper": waits for its end, and says how it was and what it took
             └── time (GNU's, where there is one)
                  └── setsid sh "inner": changes directory and variables, says its pid, waits for "go", becomes the program

A second shell of the same connection, the control, watches the session of each program, and ends it: when it is told to,
when the connection closes, and when nothing has been heard for too long. A program is told to go after the control knows it.
"""

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from aiodag.programs import ProgramRequest

READ = 'while IFS= read -r _aiodag; do eval "$_aiodag"; done'
COMMAND = f"exec /bin/sh -c '{READ}'"
LABEL = "AIODAG_ATTEMPT"  # the variable by which all processes of an attempt are found again
PATIENCE = 5.0  # seconds after KILL, as here
MOMENT = 0.5  # seconds for what a program leaves behind, as here
SILENT_SIGNALS = {130, 141}  # of INT and PIPE no shell says anything
TICKS = 4  # that may pass without a sign of life

CONTROL = r"""
now() { IFS='. ' read -r whole part rest </proc/uptime; now=$whole$part; }
groups() {
  cat /proc/[0-9]*/stat 2>/dev/null |
    awk -v session="$1" '{ sub(/^.*\) /, "") } $4 == session && $1 !~ /[ZX]/ { print $3 }' | sort -u
}
finish() {
  now; kill_at=$((now + $2)); stop_at=$((kill_at + @patience@)); asked=' '
  while left=$(groups "$1"); [ -n "$left" ]; do
    now
    [ "$now" -lt "$stop_at" ] || break
    for group in $left; do
      if [ "$now" -ge "$kill_at" ]; then kill -KILL "-$group"; continue; fi
      case $asked in *" $group "*) ;; *) kill -TERM "-$group"; kill -CONT "-$group"; asked="$asked$group " ;; esac
    done
    sleep 0.05 || sleep 1
  done 2>/dev/null
  set -- "$1" $left
  echo "gone $1 $(($# - 1))"
}
sessions_of() {
  for place in $(grep -lzxF "@label@=$1" /proc/[0-9]*/environ 2>/dev/null); do
    awk '{ sub(/^.*\) /, ""); if ($1 !~ /[ZX]/) print $4 }' "${place%environ}stat" 2>/dev/null
  done
  if [ "$2" != 0 ] && [ -n "$(groups "$2")" ]; then
    began=$(awk '{ sub(/^.*\) /, ""); print $20 }' "/proc/$2/stat" 2>/dev/null)
    [ "${began:-$3}" != "$3" ] || echo "$2"
  fi
}
seek() {
  found=0
  while sessions=$(sessions_of "$1" "$2" "$3" | sort -u); [ -n "$sessions" ]; do
    found=$((found + 1)); [ "$found" -lt 4 ] || break
    for session in $sessions; do finish "$session" "$4"; done >/dev/null
  done
  set -- "$1" "$found" $sessions
  echo "sought $1 $2 $(($# - 2))"
}
look() {
  kill -0 "-$1" 2>/dev/null || { echo "gone $1 0"; return; }
  { sleep @moment@ || sleep 1; } 2>/dev/null
  finish "$1" "$2"
}
obey() {
  trap '' PIPE
  watched=' '; missed=0
  while read -r word one two three four; do
    case $word in
      beat) missed=0; echo beat ;;
      tick) missed=$((missed + 1)); [ "$missed" -lt @ticks@ ] || { echo silent; break; } ;;
      watch) watched="$watched$one:$two "; echo "watching $one" ;;
      end) finish "$one" "$two" & ;;
      look) look "$one" "$two" & ;;
      forget) rest=${watched#* "$one:"}; watched="${watched%% "$one:"*} ${rest#* }" ;;
      seek) seek "$one" "$two" "$three" "$four" & ;;
      over) break ;;
    esac
  done
  for each in $watched; do finish "${each%:*}" "${each#*:}" & done
  wait
  trap '' TERM
  kill -TERM 0
}
exec 3<&0
missing=
for tool in setsid awk sort grep; do command -v "$tool" >/dev/null || missing="$missing,$tool"; done
[ -r /proc/uptime ] || missing="$missing,/proc"
usage=0; [ ! -x /usr/bin/time ] || ! /usr/bin/time -f %M true >/dev/null 2>&1 || usage=1
echo "@token@ ready $usage missing=$missing $(uname -n)"
{ while sleep @tick@; do echo tick; done 3<&- 2>/dev/null & cat <&3; echo over; } | obey
"""

WRAPPER = r"""
exec 3<&0 4>&1 5>&2
_aiodag=$(
  { @usage@ /bin/sh -c 'exec setsid /bin/sh -c "$1" <&3 >&4 2>&5 3<&- 4>&- 5>&-' sh @read@; } 2>&1
  _aiodag=$?
  [ -z "${BASH_VERSION-}" ] || echo bash
  echo "code $_aiodag"
  times
)
set -f
set -- $_aiodag
printf '@token@ end %s\n' "$*" >&4
exit 0
"""
USAGE = "/usr/bin/time -f 'usage %U %S %M'"

BEGINNING = r"""
set -f
{ IFS= read -r _aiodag </proc/$$/stat; } 2>/dev/null
set -- ${_aiodag##*) }
_aiodag_began=${20-0}
_aiodag_fault() { printf '@token@ fault %s %s\n' "$1" "$2"; exit 0; }
_aiodag_errno() { if [ ! -e "$1" ]; then _aiodag=2; elif [ "$2" = d ] && [ ! -d "$1" ]; then _aiodag=20; else _aiodag=13; fi; }
"""
DIRECTORY = 'cd -- @cwd@ >/dev/null 2>&1 || { _aiodag_errno @cwd@ d; _aiodag_fault cwd "$_aiodag"; }\n'
# Ready, and then the program. What the other shell cannot foresee of it, `exec` says: bash would leave without the trap.
GOING = r"""
printf '@token@ start %s %s\n' "$$" "$_aiodag_began"
IFS= read -r _aiodag || exit 0
@stdin@
if ! command -v -- "$1" >/dev/null 2>&1; then
  _aiodag=2
  case $1 in */*) _aiodag_errno "$1" ;; esac
  _aiodag_fault program "$_aiodag"
fi
[ -z "${BASH_VERSION-}" ] || shopt -s execfail
trap '_aiodag_fault exec "$?"' EXIT
exec "$@"
exit "$?"
"""
FILE = '[ -r @file@ ] || { _aiodag_errno @file@ ; _aiodag_fault stdin "$_aiodag"; }\nexec <@file@'


class ProgramUsage(NamedTuple):
    """How a program ended, and what it took."""

    code: int
    cpu_seconds: float
    peak_bytes: int


def quote_line(text: str) -> str:
    """Return text as a shell reads it, in one line: `_aiodag_n` stands for a newline."""
    return shlex.quote(text).replace("\n", "'\"$_aiodag_n\"'")


def fill_in(text: str, **values: object) -> str:
    """Return a script with values in the places that have their names."""
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def eval_line(script: str) -> str:
    """Return the line that has a script evaluated. A newline is the third character of what separates words."""
    return f"_aiodag_n=${{IFS#??}}; eval {quote_line(script)}\n"


def control_lines(token: str, tick: float) -> bytes:
    """Return what makes a shell the control of a connection, with the seconds between two looks for a sign of life."""
    values = {"token": token, "tick": f"{tick:g}", "ticks": TICKS, "label": LABEL}
    return eval_line(fill_in(CONTROL, **values, patience=hundredths(PATIENCE), moment=MOMENT)).encode()


def program_lines(request: ProgramRequest, token: str, label: str, *, usage: bool) -> bytes:
    """Return what makes a shell run a program as soon as it reads a further line; what follows that is the program's stdin."""
    wrapper = fill_in(WRAPPER, token=token, read=shlex.quote(READ), usage=USAGE if usage else "")
    lines = [eval_line(wrapper), eval_line(fill_in(BEGINNING, token=token))]
    if request.cwd is not None:
        cwd = str(request.cwd)
        lines.append(DIRECTORY.replace("@cwd@", quote_line(cwd if cwd.startswith("/") else f"./{cwd}")))
    for name, value in request.env.items():
        lines.append(f"unset {name}\n" if value is None else f"export {name}={quote_line(value)}\n")
    lines.extend((f"export {LABEL}={label}\n", f"set -- {' '.join(map(quote_line, request.args))}\n"))
    going = fill_in(GOING, token=token, stdin=stdin_text(request))
    lines.append(f"eval {quote_line(going)}\n")  # IFS may be the program's by now
    return "".join(lines).encode("utf-8", "surrogateescape")


def stdin_text(request: ProgramRequest) -> str:
    """Return how a program gets its stdin: that of the shell is what follows."""
    if request.stdin is None:
        return "exec </dev/null"
    return "" if isinstance(request.stdin, bytes) else FILE.replace("@file@", shlex.quote(str(request.stdin)))


def hundredths(seconds: float) -> int:
    """Return seconds as the control counts them."""
    return round(seconds * 100)


def usage_of(words: list[str]) -> ProgramUsage:
    """Return how a program ended, from what its wrapper says: what the shell said of it, its code, and times.

    A shell has the code 143 for an exit code 143 and for signal 15. It prints something in the one case only; bash never
    does, and of its codes above 128 all are taken for signals.
    """
    place = len(words) - 1 - words[::-1].index("code")
    said, code, times = words[:place], int(words[place + 1]), words[place + 2 :]
    if "usage" in said:
        at = len(said) - 1 - said[::-1].index("usage")
        user, system, kibibytes = said[at + 1 : at + 4]
        before = said[:at]
        number = int(before[-1]) if before[-2:-1] == ["signal"] else 0
        return ProgramUsage(-number or code, float(user) + float(system), int(kibibytes) * 1024)
    signalled = code > 128 and (said or code in SILENT_SIGNALS)
    return ProgramUsage(128 - code if signalled else code, sum(map(shell_seconds, times[2:4])), 0)


def shell_seconds(text: str) -> float:
    """Return the seconds of a time such as 1m2.5s."""
    minutes, _, seconds = text.rstrip("s").partition("m")
    return int(minutes) * 60 + float(seconds)


class MarkedStream:
    """A stream of a program in which the shells around it say things, in lines that begin with a word nobody can know."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._held = b""

    def feed(self, chunk: bytes) -> Iterator[bytes | list[str]]:
        """Yield what came: bytes of the program, and the words of a line to us."""
        rest = self._held + chunk
        while (place := rest.find(self._token)) >= 0 and (end := rest.find(b"\n", place)) >= 0:
            yield rest[:place]
            yield rest[place:end].decode("utf-8", "replace").split()[1:]
            rest = rest[end + 1 :]
        if place < 0:
            longest = min(len(rest), len(self._token) - 1)
            place = len(rest) - next((n for n in range(longest, 0, -1) if self._token.startswith(rest[-n:])), 0)
        self._held = rest[place:]
        yield rest[:place]

    def flush(self) -> bytes:
        """Return what was held back, at the end of the stream."""
        rest, self._held = self._held, b""
        return rest
