"""What a shell is told besides its script, so that a failing line or member of a pipeline ends it."""

from os.path import basename

from aiodag.errors import OptionError

SHELL = "/bin/sh"
PLACE = 2  # of the script among the arguments: SHELL -c SCRIPT sh ...
KNOW_PIPEFAIL = frozenset({"bash", "ksh", "ksh93", "mksh", "zsh"})
# Some of these know pipefail, in newer versions, and exit when they do not know an option that `set` is given: `command`
# keeps them going. It stands in the script's first line, so that the numbers of lines in messages stay.
MAY_KNOW_PIPEFAIL = frozenset({"ash", "dash", "sh", "yash"})
ASK = "command set -o pipefail 2>/dev/null || :; "


def strict_line(args: tuple[str, ...]) -> tuple[str, ...]:
    """Return what runs a script until something in it fails.

    >>> strict_line(("/bin/bash", "-c", "make | tee log", "sh"))
    ('/bin/bash', '-e', '-o', 'pipefail', '-c', 'make | tee log', 'sh')
    >>> strict_line(("/bin/sh", "-c", "make", "sh"))
    ('/bin/sh', '-e', '-c', 'command set -o pipefail 2>/dev/null || :; make', 'sh')
    """
    if basename(args[0]) in KNOW_PIPEFAIL:  # noqa: PTH119 - text
        return (args[0], "-e", "-o", "pipefail", *args[1:])
    return (args[0], "-e", "-c", ASK + args[PLACE], *args[PLACE + 1 :])


def check_strict(program: str) -> None:
    """Refuse a shell of which nobody knows how to have it stop. Raises `OptionError`."""
    known = KNOW_PIPEFAIL | MAY_KNOW_PIPEFAIL
    if basename(program) not in known:  # noqa: PTH119 - text
        wanted = f"one of {', '.join(sorted(known))}, which stop where something fails; others take strict=False"
        raise OptionError("shell", program, wanted)
