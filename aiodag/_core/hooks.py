"""Hooks: what a run calls when it begins, and when it has succeeded or failed.

A hook is a node of its run, made when everything else has settled (or, of the beginning, before anything else is made), so it
has attempts, a record, a place in the graph. But it decides nothing: how the run ends is known before the first one begins,
and whatever fails in one is reported and taken, so that it is not a failure of the run.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from aiodag._core.context import RUN
from aiodag._core.failure import Failure
from aiodag._core.node import Node
from aiodag._core.posting import HookPost, is_url
from aiodag._core.submit import submit
from aiodag._core.task import Task, make
from aiodag.errors import OptionError
from aiodag.masking import masked
from aiodag.secret import Secret
from aiodag.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Hook: TypeAlias = "Task[..., Any] | Callable[[RunSummary], object] | str | Secret"  # a text is a URL
    HookTypes: TypeAlias = "Hook | Sequence[Hook] | None"

    from aiodag._core.run import Run

EVENTS = ("on_start", "on_success", "on_failure")
WANTED = "a task or function of one argument (a RunSummary), a command, or a URL; or a list of them"
MOST = 100  # failures that a summary names


class RunSummary(NamedTuple):
    """The summary of a run that a hook gets.

    `id` is empty without a store. `state` is "running", "succeeded" or "failed"; `failures` are the root failures as text,
    at most the first 100. `begun` counts how often the run was begun: 2 when it is resumed after it had ended.

    >>> from aiodag import Run, RunSummary
    >>> def tell(summary: RunSummary) -> None:
    ...     print(summary.name, summary.state)
    >>> async with Run("etl", on_success=tell):
    ...     pass
    etl succeeded
    """

    id: str
    name: str
    state: str
    failures: tuple[str, ...] = ()
    begun: int = 1


Given = Mapping[str, tuple[Task[..., Any], ...]]


def hooks_of(**given: object) -> Given:
    """Return the tasks of hooks by their events; of those that are given. Raises `OptionError`."""
    return {
        event: tuple([hook_of(event, each) for each in as_hooks(hooks)])
        for event, hooks in given.items()
        if hooks is not None
    }


def as_hooks(hooks: object) -> Iterable[Any]:
    """Return one hook or several as several."""
    return hooks if isinstance(hooks, list | tuple) else (hooks,)


def hook_of(event: str, given: Any) -> Task[..., Any]:
    """Return the task of a hook, under its name in the run. Raises `OptionError`."""
    if is_url(given) or isinstance(given, Secret):
        body = HookPost(given)
        return make(body, (), {"name": f"{event} {body.host_alone}"})
    if isinstance(given, str) or not (isinstance(given, Task) or callable(given)):
        hint = f". Is that a line for a shell? Write shell({given!r:.100})" if isinstance(given, str) else ""
        raise OptionError(event, given, WANTED + hint)
    made = make(given, (), {})
    if made.after_deps:
        raise OptionError(event, given, "a task that waits for nothing: a hook runs before or after all else")
    try:
        made.check(*made._hook_call(RunSummary("", "", "")))
    except TypeError as error:
        raise OptionError(event, given, f"{WANTED}: {error}") from None
    return made if made.name.startswith(f"{event} ") else made.with_options(name=f"{event} {made.name}")


class Hooks:
    """The hooks of one run. It is passed to each call: an object that held it would keep it alive in a cycle."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.nodes: WeakSet[Node[Any]] = WeakSet()

    def begin(self, run: "Run") -> None:
        """Call those of the beginning. They run alongside everything else, and the run waits for them."""
        self._call(run, "on_start", "running", ())

    async def end(self, run: "Run", error: BaseException | None) -> None:
        """Call those of how the run ends, and wait for them: `error` is what the body of its scope raised."""
        outcome = failures_of_run(run, error)
        if outcome is None:
            return
        survivors = len(run.live)
        before = set(run.untaken)
        # What ended the run must not end its hooks: fail_fast, or the exception by which its scope was left.
        stopping, fail_fast = run.stopping, run.fail_fast
        run.stopping = run.fail_fast = False
        try:
            await all_settled(self._call(run, f"on_{'failure' if outcome else 'success'}", *state_of_failures(outcome)))
            if not survivors:
                await run.wait()  # for what they called and did not await
        finally:
            run.stopping, run.fail_fast = stopping, fail_fast
        for key, failure in list(run.untaken.items()):
            if key not in before:
                report(run, failure, f"{failure.report.label}, called in a hook of run {run.name!r},")

    def _call(self, run: "Run", event: str, state: str, failures: tuple[str, ...]) -> list[Node[Any]]:
        begun = 1 if run.journal is None else run.journal.begun
        summary = RunSummary(run.id, run.name, state, failures, begun)
        token = RUN.set(run)
        try:
            made = [self._node(each, summary) for each in self.given.get(event, ())]
        finally:
            RUN.reset(token)
        return made

    def _node(self, task: Task[..., Any], summary: RunSummary) -> Node[Any]:
        args, kwargs = task._hook_call(summary)
        # Not known by the texts of failures: where a run goes on whose process has died, they may be others.
        called = task.with_options(key=f"begun {summary.begun}")
        called.at_home = True
        node = submit(called, *args, **kwargs)
        if node.run is not None:
            node.run.ledger.place(node, task.code, 0)  # where the function is; nobody wrote the call
        self.nodes.add(node)
        return node

    def cancel(self) -> None:
        """Cancel what has not ended: the run was cancelled, and does not only fail."""
        for node in list(self.nodes):
            node.cancel("its run was cancelled")

    def take_failure(self, node: Node[Any], failure: Failure) -> bool:
        """Take and report the failure of a node, if that is a hook's."""
        run = node.run
        if run is None or node not in self.nodes:
            return False
        report(run, failure, f"{node.name}, a hook of run {run.name!r},")
        return True


def report(run: "Run", failure: Failure, who: str) -> None:
    """Report a failure that is not the run's to the loop."""
    failure.report.take()
    context = {"message": f"{who} failed", "exception": failure.exception, "hooks_of": run}
    run.loop.call_exception_handler(context)


def failures_of_run(run: "Run", error: BaseException | None) -> tuple[str, ...] | None:
    """Return the failures with which a run will end, none of a success; None where it ends in another way."""
    if isinstance(error, asyncio.CancelledError) or (run.journal is not None and run.journal.error is not None):
        return None
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        return None
    if error is not None:
        return (f"{type(error).__name__}: {error}",)
    if run.timed_out:
        return (f"TimeoutError: run {run.name!r} took longer than {run.timeout:g} s",)
    if run.untaken:
        return tuple(map(str, run.untaken.values()))
    return None if run._cut_short else ()


def state_of_failures(failures: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the state that failures stand for, and the texts of so many that a summary stays small."""
    if not failures:
        return str(State.SUCCEEDED), ()
    more = len(failures) - MOST
    told = [*failures[:MOST], *([f"… and {more:,} more"] if more > 0 else [])]
    return str(State.FAILED), tuple(map(masked, told))


async def all_settled(nodes: list[Node[Any]]) -> None:
    """Wait until nodes have settled, in whatever way. Cancelled, cancel them."""
    left = [node for node in nodes if not node.state.final]
    waiter = asyncio.get_running_loop().create_future()

    def ended(node: Node[Any]) -> None:
        left.remove(node)
        if not left and not waiter.done():
            waiter.set_result(None)

    for node in list(left):
        node.add_done_callback(ended)
    try:
        if left:
            await waiter
    except asyncio.CancelledError:
        for node in nodes:
            node.cancel()
        raise
