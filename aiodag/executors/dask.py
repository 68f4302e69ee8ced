"""Run functions on a Dask cluster, with `distributed`: the extra `dask`. What goes over the wire is in `dask_link.py`."""

import asyncio
import pickle
from asyncio import _unregister_task
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from aiodag._core.context import current_node
from aiodag._core.failure import exception_line
from aiodag._core.limits import finite_number
from aiodag.abc import Worker
from aiodag.errors import MissingExtra, OptionError
from aiodag.executors.dask_link import MARK, PATIENCE, DaskCall, DaskLink
from aiodag.executors.shipped import BODIES, answer_call
from aiodag.executors.shipping import (
    KEEP_FROM,
    Answer,
    ClusterUnreachable,
    KeptValue,
    WorkerDiffers,
    names_of_modules,
    pack_call,
    stamp,
)

try:
    import distributed
except ImportError as error:
    raise MissingExtra("an executor of type dask", "distributed", "dask") from error

CONNECT = 10.0  # seconds for a scheduler to answer


class Dask:
    """Run attempts on a Dask cluster: `Dask("tcp://127.0.0.1:8786")`, or the cluster or client that you have already.

    Plain functions run in the threads of its workers, async ones on a loop in each worker. Functions that workers cannot
    import go there as they are: lambdas, closures, what the main module defines, and all of the modules in `by_value`.
    Values of `keep_from` bytes or more stay on the cluster for the tasks that need them there. `resources` are those
    of Dask's workers, which every call takes.

    A running async function is cancelled; a plain one cannot be stopped: it is *abandoned*, and keeps its limit until it
    ends. Raises `ClusterUnreachable` where no scheduler answers, `WorkerDiffers` for another Python or aiodag there,
    `NotPicklable` for what cannot go there, and `AttemptLost` for a worker that dies.

    >>> from distributed import LocalCluster
    >>> from aiodag import Run, task
    >>> from aiodag.executors.dask import Dask
    >>> @task
    ... def square(x):
    ...     return x * x
    >>> cluster = LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0")
    >>> async with Run("squares", executor=Dask(cluster)):
    ...     nodes = square.map(range(4))
    >>> [node.result() for node in nodes]
    [0, 1, 4, 9]
    >>> cluster.close()
    """

    takes_async = True

    def __init__(
        self,
        address: Any,
        *,
        keep_from: int | None = KEEP_FROM,
        by_value: Sequence[Any] = (),
        resources: "dict[str, float] | None" = None,
    ) -> None:
        self.address = scheduler_address(address)
        self.security = getattr(address, "security", None)
        if keep_from is not None and (type(keep_from) is not int or keep_from < 0):
            raise OptionError("keep_from", keep_from, "a number of bytes, or None: every value comes home")
        self.keep_from = keep_from
        self.by_value = names_of_modules(by_value)
        self.resources = amounts_of(resources)
        self.answer, self.stop_there, self.wait_there = answer_on_worker, stop_on_worker, wait_on_worker
        self.links: WeakKeyDictionary[asyncio.AbstractEventLoop, DaskLink] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"Dask({self.address!r})"

    async def place(self) -> Worker:
        """Wait for a thread of the cluster if the attempt has a timeout, which must not count what waits there."""
        return await (await self.link()).gate.place(self)

    async def run(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:
        """Return `fn(*args, **kwargs)` of a worker, or a `DaskValue` where that is large."""
        node = current_node()
        name = node.name if node else getattr(fn, "__qualname__", repr(fn))
        priority = node.task.options.priority if node else 0
        del node  # a failure's traceback holds this frame
        link = await self.link()
        call = pack_call(name, fn, args, kwargs, by_value=self.by_value, is_held=link.holds)
        del fn, args, kwargs
        with link.real_time:
            return await link.call(DaskCall(link, name, call, priority))

    async def link(self) -> "DaskLink":
        """Return the connection of the running loop, made at its first use."""
        loop = asyncio.get_running_loop()
        link = former = self.links.get(loop)
        if link is None or link.broken:
            for ended in [each for each in self.links if each.is_closed()]:
                del self.links[ended]
            link = self.links[loop] = DaskLink(self, loop)
            if former is not None:
                link.work(former.close())
        link.unused = False
        await link.opened()
        return link

    async def connect(self) -> Any:
        """Return a client that is connected, and has looked at the cluster. Raises `ClusterUnreachable` and `WorkerDiffers`."""
        opened: Any = distributed.Client  # its types are not those of a client that is used asynchronously
        client = opened(self.address, asynchronous=True, set_as_default=False, timeout=CONNECT, security=self.security)
        try:
            await client
            _unregister_task(client._handle_report_task)  # noqa: SLF001 - which a loop that ends would cancel before it is closed
            await check_cluster(client)
        except WorkerDiffers:
            await client.close()
            raise
        except Exception as error:
            await client.close()
            asked = ": does `dask scheduler` run there?" if isinstance(error, OSError) else ""
            raise ClusterUnreachable("Dask", self.address, f"{exception_line(error)}{asked}") from error
        return client

    async def close(self) -> None:
        """Let go of the connection of the running loop, once no value is held over it. It is made again where it is needed."""
        link = self.links.get(asyncio.get_running_loop())
        if link is not None:
            await link.leave()


def scheduler_address(given: Any) -> str:
    """Return the address of a scheduler: of a cluster, a client, or as it is given. Raises `OptionError`."""
    scheduler = getattr(given, "scheduler", None)
    address = (
        given if isinstance(given, str) else getattr(scheduler, "address", getattr(given, "scheduler_address", ""))
    )
    if isinstance(address, str) and "://" in address:
        return address
    raise OptionError("address", given, "that of a Dask scheduler, such as tcp://127.0.0.1:8786, a cluster or a client")


def amounts_of(given: Any) -> dict[str, float]:
    """Check the resources of a call. Raises `OptionError`."""
    amounts = {} if given is None else given
    if not isinstance(amounts, dict) or not all(
        isinstance(name, str) and (finite_number(amount) or 0) > 0 for name, amount in amounts.items()
    ):
        raise OptionError("resources", given, 'amounts of what Dask\'s workers have, such as {"GPU": 1}')
    return dict(amounts)


async def check_cluster(client: Any) -> None:
    """Look at the scheduler and the workers before anything runs there. Raises `WorkerDiffers`."""
    here = stamp()
    found = await client.get_versions()
    for place, there in {"the scheduler": found["scheduler"], **found["workers"]}.items():
        python = ".".join(dict(there["host"])["python"].split(".")[:2])
        if python != here[0]:
            raise WorkerDiffers(here, (python, "an unknown version"), f"{client.scheduler.address}: {place}")
    told = {"the scheduler": await client.run_on_scheduler(prepare_scheduler), **await client.run(stamp)}
    for place, stamped in told.items():
        if stamped != here:
            raise WorkerDiffers(here, stamped, f"{client.scheduler.address}: {place}")


class OneAttempt(distributed.SchedulerPlugin):
    """Has Dask start no call again that a worker has had: that is another attempt, which the program counts."""

    name = "aiodag"

    def __init__(self, scheduler: Any) -> None:
        self.tasks = scheduler.tasks

    def update_graph(self, scheduler: Any, *, tasks: Iterable[Any], **_: Any) -> None:
        """Have the first death of a worker be one too many for each of our tasks."""
        for key in tasks:
            if isinstance(key, str) and MARK in key:
                scheduler.tasks[key].suspicious = scheduler.allowed_failures

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        """Note that a worker has had a task, which leaves it for another reason, such as being sent away."""
        if start == "processing" and finish in {"released", "waiting"} and isinstance(key, str) and MARK in key:
            task = self.tasks[key]
            task.annotations = {**(task.annotations or {}), OneAttempt.name: "again"}


def prepare_scheduler(dask_scheduler: Any) -> tuple[str, str]:
    """Put our plugin into a scheduler, and return the versions there. Called by the scheduler."""
    if OneAttempt.name not in dask_scheduler.plugins:
        dask_scheduler.add_plugin(OneAttempt(dask_scheduler))
    return stamp()


def answer_on_worker(content: bytes, held: Sequence[Any] = (), *, keep_from: int | None) -> Any:
    """Do what a call says. Called by a worker in one of its threads."""
    worker: Any = distributed.get_worker()
    key = worker.get_current_task()
    if OneAttempt.name in (worker.state.tasks[key].annotations or {}):
        return pickle.dumps(Answer("lost"))
    answer = answer_call(content, held, keep_from, key.rpartition(MARK)[2])
    return answer if isinstance(answer, KeptValue) else pickle.dumps(answer, protocol=5)  # bytes cost Dask the least


async def stop_on_worker(labels: list[str]) -> list[str]:
    """Have calls end, and return those that do not at once. Called by each worker."""
    running = BODIES.stop(labels)
    with suppress(TimeoutError):
        await asyncio.wait_for(BODIES.wait_for(running), PATIENCE / 2)
    return BODIES.still(running)


async def wait_on_worker(label: str) -> None:
    """Wait for the end of a call. Called by the worker that runs it."""
    await BODIES.wait_for([label])
