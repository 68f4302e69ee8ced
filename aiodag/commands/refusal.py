"""Why a program could not be started on this machine, and what would help."""

import errno
import os
import re
from pathlib import Path

from aiodag.commands.descriptors import descriptors_allowed

FIRST_LINE = 256  # bytes of a script, as far as Linux reads
LINE = 'Give each argument by itself, as in command("ls", "-l"); shell("ls -l") takes a line'

HINTS = {
    errno.ENOENT: ": there is no such file",
    errno.EACCES: ": it is a directory, or may not be executed (chmod +x)",
    errno.ENOEXEC: ": it is not a program; a script needs a first line such as #!/bin/sh",
    errno.E2BIG: ": its arguments and variables are longer than the system takes. Pass them as stdin, or in a file",
}


class NotStarted(Exception):
    """Carries why there is no program: what the system says, and of what.

    That is the "program"; the "file" of it, at `path`, which was found and cannot be run; its "cwd" or "stdin"; or "".
    """

    def __init__(self, error: OSError, fault: str = "", path: bytes = b"") -> None:
        super().__init__(error, fault)
        self.error = error
        self.fault = fault
        self.path = path


def describe_refusal(fault: NotStarted, program: str, cwd: Path | None, stdin: object) -> str:
    """Return why a program did not start, and what would help."""
    number = fault.error.errno or 0
    said = os.strerror(number)
    if fault.fault == "stdin":
        return f"did not start: its stdin {str(stdin)!r} cannot be read: {said}"
    if fault.fault == "cwd":
        return f"did not start: {str(cwd or os.curdir)!r} cannot be the directory it runs in: {said}"
    if not fault.fault:
        full = number in {errno.EMFILE, errno.ENFILE}
        many = (
            f". Files and sockets that are open leave no room below `ulimit -n`, {descriptors_allowed():,.0f}: raise it"
            if full
            else ""
        )
        return f"did not start: {fault.error}{many}"
    if fault.fault == "file":
        return f"did not start: {describe_broken_file(os.fsdecode(fault.path), number)}"
    if number == errno.ENOENT and "/" not in program:
        if program.split()[1:]:
            return f"did not start: {program!r} is taken for the name of a program, blanks included. {LINE}"
        return f"did not start: no directory of PATH has a program {program!r}. Install it, or give its whole path"
    return f"did not start: {said}{HINTS.get(number, '')}"


def describe_broken_file(path: str, number: int) -> str:
    """Return why an existing file was not run: its interpreter may be missing."""
    said = os.strerror(number)
    missing, forbidden = number == errno.ENOENT, number == errno.EACCES and os.access(path, os.X_OK)
    if not (missing or forbidden):
        return f"{said}{HINTS.get(number, '')}"
    interpreter = interpreter_of(path)
    if interpreter is None:
        return f"{path!r} is there, and what it needs is not: it was built for another system" if missing else said
    why = f"the first line of {path!r} names {interpreter!r}, which {'is missing' if missing else 'cannot be executed'}"
    return f"{why}. Its lines end as those of Windows do: convert them" if interpreter.endswith("\r") else why


def interpreter_of(path: str) -> str | None:
    """Return what the first line of a script says that it is for; None if it says nothing."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - of a text, as it was found
            first = file.read(FIRST_LINE).split(b"\n", 1)[0]
    except OSError:
        return None
    interpreter = re.split(rb"[ \t]", first[2:].strip(b" \t"), maxsplit=1)[0] if first[:2] == b"#!" else b""
    return os.fsdecode(interpreter) or None
