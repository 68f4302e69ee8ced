"""What resuming a run would do."""

from typing import NamedTuple


class Plan(NamedTuple):
    """What resuming a run would do: the labels of the nodes that would run, and how many would be recalled."""

    run: list[str]
    recalled: int


class Resumption(Plan):
    """What resuming a run would do: the labels of the nodes that would `run`, and how many would be `recalled`.

    `failed` are the labels of those that would be recalled as failed. `continues` is True if the run has begun and not ended: then
    all failures are recalled, otherwise only those that bodies have handled.

    >>> from pathlib import Path
    >>> from aiodag.service import Service
    >>> size = Path("hello.json").write_text('{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    >>> service = Service("memory:resumption")
    >>> values = await service.start(service.target("hello.json"), run_id="monday")
    >>> plan = await service.plan("monday", again=["greet"])
    >>> plan.run, plan.recalled, plan.continues
    (['greet'], 0, False)
    """

    failed: tuple[str, ...] = ()
    continues = False
    met: frozenset[int] = frozenset()  # numbers of the recorded nodes that were called again
    fresh: tuple[str, ...] = ()  # labels of those that would run at once, and wait for nothing outside


class ParkedPlan(NamedTuple):
    """What a parked run would do with other code: the labels of what it waits for and would not find again, `lost`.

    `first` are the labels of what would run before: after that it may come to its waits, which nobody can tell. `why` is what
    keeps the code from being entered at all, if something does.

    >>> from aiodag.service.resumption import ParkedPlan
    >>> ParkedPlan("order-17", ("message('PAYMENT', 'A17')",)).finds
    False
    """

    run: str
    lost: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    why: str = ""

    @property
    def finds(self) -> bool:
        """Whether it is sure to find all that it waits for."""
        return not self.lost
