"""What keeps a store, or a run in it, from being used."""

from collections.abc import Iterable

from aiodag.errors.root import AiodagError


class StoreError(AiodagError):
    """Raised when a store cannot be used; the message says where it is, what was tried and what went wrong.

    >>> from pathlib import Path
    >>> from aiodag.service import Service
    >>> size = Path("notes.txt").write_text("milk, bread, a store")
    >>> Service("notes.txt").runs()
    Traceback (most recent call last):
    aiodag.StoreError: ...
    """

    store_failed = False  # the store itself is at fault, such as a full disk, and not what was asked of it


class StoreUnreachable(StoreError):
    """Raised when a store cannot be reached for now: what was tried can be tried again.

    Runs that are under way wait until it is back. Whoever looks, or begins where it was never reached, hears of it at once.

    >>> from aiodag.service import Service
    >>> Service("postgresql://127.0.0.1:1/runs").runs()
    Traceback (most recent call last):
    aiodag.StoreUnreachable: cannot read the store postgresql://127.0.0.1:1/runs: ...
    """


class NotFound(StoreError):
    """Raised when a store has nothing of that name: no queue, schedule, node or workflow.

    `near` is a name that may have been meant, or None.

    >>> from aiodag.service import Service
    >>> Service("memory:").schedule("nightly")
    Traceback (most recent call last):
    aiodag.NotFound: no schedule 'nightly' in memory:: `aiodag schedules` lists what there is
    """

    near: str | None = None

    def __init__(self, text: str, *, near: str | None = None) -> None:
        self.near = near
        super().__init__(text)


class UnknownRun(NotFound):
    """Raised when a store has no run of that id; the message suggests what was meant.

    >>> from aiodag.service import Service
    >>> Service("memory:").run("monday")
    Traceback (most recent call last):
    aiodag.UnknownRun: no run 'monday' in memory:. `aiodag runs` lists what there is.
    """

    def __init__(self, run: str, known: Iterable[str], place: str) -> None:
        # Imported here: asyncio does not load difflib, and `import aiodag` loads nothing that asyncio does not.
        from difflib import get_close_matches  # noqa: PLC0415 - see above

        near = get_close_matches(run, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else " `aiodag runs` lists what there is."
        super().__init__(f"no run {run!r} in {place}.{hint}", near=near[0] if near else None)


class RunOwned(StoreError):
    """Raised when a run cannot be entered or deleted because another process, or another scope of this one, owns it.

    >>> from aiodag import Run
    >>> async with Run("etl", store="memory:owned", id="monday"):
    ...     async with Run("etl", store="memory:owned", id="monday"):
    ...         pass
    Traceback (most recent call last):
    aiodag.RunOwned: run 'monday' is owned by ...
    """

    def __init__(self, run: str, owner: object, left: float) -> None:
        super().__init__(
            f"run {run!r} is owned by {owner}, which renewed its lease for another {left:.0f} s. Wait for it, or cancel "
            f"it with `aiodag cancel {run}`; when its lease has run out, the run can be resumed"
        )


class RunQueued(StoreError):
    """Raised when a run cannot be queued again because it waits in a queue already.

    >>> from pathlib import Path
    >>> from aiodag.service import Service
    >>> size = Path("days.py").write_text("async def main(day: str) -> str: return day")
    >>> service = Service("memory:run-queued")
    >>> run_id = service.submit("days.py", ["day=monday"])
    >>> service.requeue(run_id)
    Traceback (most recent call last):
    aiodag.RunQueued: run 'main-...' waits in the queue 'default' already. ...
    """

    def __init__(self, run: str, queue: str) -> None:
        super().__init__(
            f"run {run!r} waits in the queue {queue!r} already. To change it, cancel it first with `aiodag cancel {run}`, and "
            "queue it again when it has ended"
        )


class LeaseLost(StoreError):
    """Raised when a run no longer belongs to this process: it was taken over, or deleted. Its nodes stop; nothing more is
    written.

    >>> import asyncio
    >>> from aiodag import Run, task
    >>> from aiodag.stores.memory import Memory
    >>> store = Memory()
    >>> async with Run("etl", store=store, id="monday"):
    ...     node = task(asyncio.sleep)(3600)
    ...     gone = store.delete(["monday"])
    Traceback (most recent call last):
    aiodag.LeaseLost: run 'monday' was deleted while this process did not renew its lease. ...
    """

    def __init__(self, run: str, *, deleted: bool = False) -> None:
        what = "deleted" if deleted else "taken over by another process"
        super().__init__(
            f"run {run!r} was {what} while this process did not renew its lease. Nothing of it was written after that"
        )
