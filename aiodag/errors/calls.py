"""What keeps a call from becoming a node."""

from collections.abc import Iterable, Sequence

from aiodag.errors.root import AiodagError


class NoLoop(AiodagError, RuntimeError):
    """Raised when a task is called where no event loop runs: outside any, or in the body of a plain function.

    >>> from aiodag import task
    >>> @task
    ... async def fetch(name): ...
    >>> fetch("a1")
    Traceback (most recent call last):
    aiodag.NoLoop: fetch(...) was called without a running event loop, so nothing was scheduled. ...
    """

    def __init__(self, task: str, body: str = "") -> None:
        outside = f"Call it inside a coroutine: async def main(): await {task}(...), then asyncio.run(main())"
        inside = f"The body of {body}, a plain function, runs in a thread, which has none. Make {body} async, and what blocks in it "
        inside += f"a task of its own; or return what {task} needs, and call it where {body} is called"
        super().__init__(
            f"{task}(...) was called without a running event loop, so nothing was scheduled. {inside if body else outside}"
        )


class ForeignLoop(AiodagError, RuntimeError, ValueError):
    """Raised when a task is passed an awaitable that belongs to another event loop.

    >>> import asyncio
    >>> from aiodag import task
    >>> elsewhere = asyncio.new_event_loop()
    >>> await task(print)(elsewhere.create_future())
    Traceback (most recent call last):
    aiodag.ForeignLoop: <Future pending> belongs to an event loop that is not the one that runs here. ...
    >>> elsewhere.close()
    """

    def __init__(self, awaitable: object, *, closed: bool) -> None:
        state = "is closed" if closed else "is not the one that runs here"
        super().__init__(
            f"{awaitable!r} belongs to an event loop that {state}. A node serves the loop it was made on: "
            "pass its value (node.result()), or call its task again on this loop"
        )


class NotATask(AiodagError, TypeError):
    """Raised when something that cannot be a task is decorated.

    >>> from aiodag import task
    >>> task(42)
    Traceback (most recent call last):
    aiodag.NotATask: task() got 42, which is not callable. ...
    """

    def __init__(self, given: object, why: str = "is not callable", *, taker: str = "task", wanted: str = "") -> None:
        wanted = wanted or (
            "an async function, a plain function (it runs in a thread), "
            "a method, a functools.partial, or an object with an async __call__"
        )
        super().__init__(f"{taker}() got {given!r}, which {why}. Pass {wanted}")


class UnknownOption(AiodagError, TypeError):
    """Raised for an option that no task has; the message names the nearest one.

    >>> from aiodag import task
    >>> task(print, retires=3)
    Traceback (most recent call last):
    aiodag.UnknownOption: task() has no option 'retires'; did you mean 'retries'? ...
    """

    def __init__(self, option: str, known: Iterable[str], of: str = "task") -> None:
        # Imported here: asyncio does not load difflib, and `import aiodag` loads nothing that asyncio does not.
        from difflib import get_close_matches  # noqa: PLC0415 - see above

        names = sorted(known)
        near = get_close_matches(option, names, n=2, cutoff=2 / 3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
        super().__init__(f"{of}() has no option {option!r}{hint} The options are {', '.join(names)}")


class OptionError(AiodagError, ValueError):
    """Raised for an option with a value that cannot work; the message says what would.

    >>> from aiodag import task
    >>> task(print, retries=-1)
    Traceback (most recent call last):
    aiodag.OptionError: retries=-1 cannot work: retries takes ...
    """

    def __init__(self, option: str, given: object, wanted: str) -> None:
        shown = str(given) if hasattr(given, "isoformat") else repr(given)  # a date is legible as text
        super().__init__(f"{option}={shown} cannot work: {option} takes {wanted}")


class NoCapacity(AiodagError, ValueError):
    """Raised when a task asks for resources that its run will never have.

    `task` is its name; the message says what it asks for, and what there is.

    >>> from aiodag import Capacity, Run, task
    >>> async with Run("etl", capacity=Capacity({"cores": 4})):
    ...     node = task(print, resources={"cores": 8})()
    Traceback (most recent call last):
    aiodag.NoCapacity: print ...
    """

    def __init__(self, task: str, why: str) -> None:
        self.task = task
        super().__init__(f"{task} {why}")


class CycleError(AiodagError, ValueError):
    """Raised when something leads back to itself. `path` holds the names on the way round.

    >>> from aiodag import Graph, GraphEdge, GraphNode, State
    >>> nodes = [GraphNode(1, "a", "a", State.WAITING), GraphNode(2, "b", "b", State.WAITING)]
    >>> Graph("loop", nodes, [GraphEdge(1, 2, "endogenous"), GraphEdge(2, 1, "endogenous")]).order()
    Traceback (most recent call last):
    aiodag.CycleError: cycle: a -> b -> a
    """

    def __init__(self, path: Sequence[str]) -> None:
        self.path = tuple(path)
        super().__init__(f"cycle: {' -> '.join(self.path)}")


class MissingExtra(AiodagError, ImportError):
    """Raised when an optional package is needed and not installed; the message says how to install it.

    >>> from aiodag import MissingExtra
    >>> raise MissingExtra("graph.to_png()", "resvg-py", "draw")
    Traceback (most recent call last):
    aiodag.MissingExtra: graph.to_png() needs resvg-py, which is not installed: pip install 'aiodag[draw]'
    """

    def __init__(self, wanted: str, package: str, extra: str) -> None:
        super().__init__(f"{wanted} needs {package}, which is not installed: pip install 'aiodag[{extra}]'")
