"""What failed, where it was called, and what could not run because of it.

One `Report` for each node that failed of itself, shared by all that was skipped because of it. Each failed or
skipped node holds its own `Failure`: the report and one hop towards the root. Hops are names, never nodes, so
that a settled node is held by nobody but the user.
"""

import dis
from asyncio import AbstractEventLoop
from collections.abc import Iterable, Sequence
from functools import cache
from types import CodeType, TracebackType
from typing import TYPE_CHECKING, Any
from weakref import ref

from aiodag.masking import MARK, masked, masked_bytes
from aiodag.secret import Veiled
from aiodag.wording import printable

if TYPE_CHECKING:
    from aiodag._core.members import FailedNode, Members

SHOWN = 8  # names of a long path or list that are printed
SHORT = frozenset({int, float, bool, str, bytes, type(None)})
NOTE = "in task "
HUGE = 128  # bits of an int that is not printed
WIDTH = 30  # characters of one argument in a label

# A name and the hop before it, up to the root. A plain tuple: a reference back to the report would make a cycle,
# and then the report would come with the next garbage collection, not when the last node goes.
Hop = tuple[str, Any]


class Exited(Exception):
    """Carries a `SystemExit` of a body through its asyncio task, which would stop the loop with it."""

    def __init__(self, error: SystemExit) -> None:
        self.error = error


class Report:
    """The failure of one node, told once to the loop's exception handler if nobody takes it."""

    __slots__ = (
        "__weakref__",
        "began",
        "exception",
        "here",
        "label",
        "loop",
        "name",
        "run",
        "site",
        "skipped",
        "taken",
        "traceback",
    )

    def __init__(
        self,
        name: str,
        site: str,
        exception: BaseException,
        loop: AbstractEventLoop,
        code: CodeType | None,
        label: str = "",
    ) -> None:
        body = from_body(exception.__traceback__, code)
        self.name = name
        self.site = site
        self.loop = loop
        self.exception = exception
        self.traceback = body or exception.__traceback__
        self.label = label or label_from_traceback(name, body)
        self.skipped: list[Hop] = []
        self.taken = False
        self.run: ref[Members] | None = None  # that raises it in the end, unless somebody takes it before
        self.began: FailedNode | None = None  # of the same run, where the exception was raised first
        # Whether it began here: a body that awaits a failed node raises the same exception again.
        self.here = add_note(exception, f"{NOTE}{self.label}, called at {site}")

    def take(self) -> None:
        """Note that somebody has met the failure: nobody else is told, and its run lets go of it."""
        self.taken = True
        run = None if self.run is None else self.run()
        if run is not None:
            run._forget_failure(self)

    def __str__(self) -> str:
        return f"{self.label} failed: {exception_line(self.exception)}"

    # Every node that failed or was skipped because of this holds the report: when the last of them goes, nobody
    # can take the failure any more. Reporting earlier would cry over failures that an awaiter is about to take.
    def __del__(self) -> None:
        if self.taken:
            return
        names = [name for name, _ in self.skipped]
        skipped = f"\n  skipped: {', '.join(shorten(names))}" if names else ""
        self.loop.call_exception_handler(
            {
                "message": f"{self} and nobody handled it\n  called at {self.site}{skipped}",
                "exception": with_traceback(self.exception, self.traceback),
                "task": self.name,
                "site": self.site,
                "skipped": tuple(names),
            }
        )


class Failure:
    """Why a node has no value: the root of the failure and the path to it. Printed, it is one line.

    >>> from aiodag import Run, RunFailed, task
    >>> @task
    ... async def fetch(name):
    ...     raise TimeoutError
    >>> @task
    ... async def upload(rows): ...
    >>> try:
    ...     async with Run("etl"):
    ...         node = upload(fetch("a1"))
    ... except RunFailed as failed:
    ...     print(*failed.failures)
    fetch('a1') failed: TimeoutError
    >>> print(node.failure)
    upload skipped: fetch('a1') failed: TimeoutError
    """

    __slots__ = ("hop", "report")

    def __init__(self, report: Report, hop: Hop) -> None:
        self.report = report
        self.hop = hop

    def onward(self, name: str) -> "Failure":
        """Return the failure of a node that is skipped because of this one, and note it in the report."""
        hop: Hop = (name, self.hop)
        self.report.skipped.append(hop)
        return Failure(self.report, hop)

    @property
    def root(self) -> str:
        """The node that failed first, with its arguments shortened, such as ``fetch('a1')``."""
        return self.report.label

    @property
    def exception(self) -> BaseException:
        """The exception that the root's body raised."""
        return with_traceback(self.report.exception, self.report.traceback)

    @property
    def site(self) -> str:
        """File and line of the call that made the root, such as ``etl.py:12``."""
        return self.report.site

    @property
    def skipped(self) -> tuple[str, ...]:
        """The tasks skipped because of the root so far."""
        return tuple(name for name, _ in self.report.skipped)

    @property
    def path(self) -> tuple[str, ...]:
        """The names from this node to the root."""
        return path_of(self.hop)

    def __str__(self) -> str:
        return path_text(self.hop, str(self.report))

    def __repr__(self) -> str:
        return f"<Failure {self}>"


def path_of(hop: Hop | None) -> tuple[str, ...]:
    """Return the names along a chain of hops."""
    names: list[str] = []
    while hop is not None:
        names.append(hop[0])
        hop = hop[1]
    return tuple(names)


def path_text(hop: Hop, root: str) -> str:
    """Return in one line how a failure reached a node."""
    name, *between = path_of(hop)[:-1] or ("",)
    if not name:
        return root
    return f"{printable(name)} skipped: {''.join(f'{printable(each)} <- ' for each in shorten(between))}{root}"


def shorten(names: Sequence[str]) -> list[str]:
    """Leave out the middle of a long list of names."""
    if len(names) <= SHOWN:
        return list(names)
    half = SHOWN // 2
    return [*names[:half], f"… {len(names) - SHOWN:,} more …", *names[-half:]]


def exception_line(exception: BaseException) -> str:
    """Name an exception in one line."""
    kind = type(exception).__name__
    try:
        text = masked(str(exception)).strip()
    except BaseException:  # noqa: BLE001 - a failure must be told whatever its exception does
        text = "(its text cannot be read: __str__ raised)"
    return f"{kind}: {text.splitlines()[0]}" if text else kind


def with_traceback(exception: BaseException, traceback: TracebackType | None) -> BaseException:
    """Give an exception a traceback, whatever its class makes of that method."""
    return BaseException.with_traceback(exception, traceback)


def from_body(traceback: TracebackType | None, code: CodeType | None) -> TracebackType | None:
    """Return the part of a traceback that starts in the body: middleware says nothing to its reader."""
    while traceback is not None and traceback.tb_frame.f_code is not code:
        traceback = traceback.tb_next
    return traceback


def add_note(exception: BaseException, text: str) -> bool:
    """Note where a failure began, once; return whether that is here."""
    try:
        if any(str(each).startswith(NOTE) for each in getattr(exception, "__notes__", ())):
            return False
        exception.add_note(text)
    except Exception:  # noqa: BLE001, S110 - frozen, or with notes that are none: the failure counts, not the note
        pass
    return True


def label_from_traceback(name: str, traceback: TracebackType | None) -> str:
    """Name a call with its short arguments, read from the frame of the body.

    The node has dropped its arguments by then, and keeping them for the rare failure would hold every large
    value; the traceback holds the frame anyway.
    """
    if traceback is None:
        return printable(name)
    frame = traceback.tb_frame
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    changed = rebound(code)
    values = [... if each in changed else frame.f_locals.get(each) for each in names if each not in {"self", "cls"}]
    return label_call(name, values)


@cache
def rebound(code: CodeType) -> frozenset[str]:
    """Return the names that a body gives other values: as arguments they would be told wrongly."""
    return frozenset(
        each.argval for each in dis.get_instructions(code) if each.opname.startswith(("STORE_FAST", "DELETE_FAST"))
    )


def label_call(name: str, values: Iterable[object]) -> str:
    """Name a call with its short arguments."""
    return f"{printable(name)}({', '.join(map(short, values))})"


def short(value: object) -> str:
    """Print one argument of a label. Only builtin scalars: no foreign `__repr__` runs."""
    if type(value) is Veiled:
        return MARK
    if type(value) is str:
        value = masked(value)  # before it is cut: the rest of a secret would not be known for one
    elif type(value) is bytes:
        value = masked_bytes(value)
    if not any(type(value) is kind for kind in SHORT):  # not `in`: a class may have no hash
        return "…"
    if isinstance(value, str | bytes) and len(value) > WIDTH:
        value = value[:WIDTH]
        return f"{value!r}…"
    if isinstance(value, int) and value.bit_length() > HUGE:
        return "…"  # Python refuses to print what is longer still
    return repr(value)


def site_of(code: CodeType | str | None, instruction: int) -> str:
    """Return file and line of a call, from the code object and the instruction that were noted there.

    Noting the frame itself would keep the caller's variables alive; finding the line at once would cost more
    than the node.
    """
    if code is None:
        return "unknown place"
    if isinstance(code, str):  # of a file that is not a program
        return code
    return f"{code.co_filename}:{line_of_instruction(code, instruction)}"


def line_of_instruction(code: CodeType, instruction: int) -> int:
    """Return the line of an instruction offset in bytes."""
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            return line
    return code.co_firstlineno
