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
