"""A node whose value stays where it was made, until somebody asks for it here.

Its class changes when its body has ended with a handle. So no other node pays for this: whoever looks for `type(x) is Node`,
which is quick, does not find it, and takes the slow way, on which it is looked for. To asyncio, and to who awaits it, it is
done when its value is here:

    the body ends ──► HeldNode ──► succeeded ──► consumers there get the handle
                                       └── awaited, or needed here: the value is fetched, once ──► done
"""

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from aiodag._core.as_task import SUCCEEDED
from aiodag._core.node import Node

if TYPE_CHECKING:
    from aiodag._core.engine import Engine
    from aiodag.held_values import HeldValue

T = TypeVar("T")


class HeldNode(Node[T]):
    """A node whose value is elsewhere."""

    __slots__ = ()

    _held: "HeldValue | None" = None  # None again, if a later attempt gave a value as it is
    _way: "WayHome | None" = None

    def way_home(self, *, at_once: bool = True) -> "WayHome":
        """Return how the value comes here. It is on its way from now on, if it was not; without `at_once`, it may not be."""
        if self._way is None:
            held: Any = self._held
            self._way = WayHome(self.engine, held)
        if at_once:
            self._way.set_out()
        return self._way

    def value_for(self, executor: object) -> Any:
        """Return what a body is given that runs on an executor, or here: the handle, or the value, which has come home."""
        if self._held is None:
            return self.value
        if executor is not None and self._held.executor is executor:
            return self._held
        return self.way_home().value()

    def _is_away(self) -> bool:
        return self._held is not None and self.state is SUCCEEDED and not self.way_home().is_over

    def __await__(self) -> Generator[Any, None, T]:
        try:
            value = yield from super().__await__()
            if self._held is None:
                return value
            yield from self.way_home().__await__()
            return self._way.value()  # type: ignore[union-attr, no-any-return]  # it has just come home
        finally:
            del self  # a failure's traceback holds this frame

    def result(self) -> T:
        """Return the value, fetched now if it is not here; raise the failure. Raises `asyncio.InvalidStateError` as `Node` does."""
        if self._held is None or self.state is not SUCCEEDED:
            return super().result()
        return self.way_home(at_once=False).value()  # type: ignore[no-any-return]  # the value of the node

    def done(self) -> bool:
        """Return True if the node has settled and its value is here. Asking has it fetched."""
        return super().done() and not self._is_away()

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: Context | None = None) -> None:
        """Have `fn(node)` called soon after the value has come home, or the node has settled without one."""
        context = copy_context() if context is None else context
        super().add_done_callback(WhenHome(fn, context), context=context)


class WhenHome:
    """A callback of a node whose value is elsewhere; it equals the function that it calls, by which it is removed."""

    def __init__(self, fn: Callable[[Any], object], context: Context) -> None:
        self.fn = fn
        self.context = context

    def __call__(self, node: HeldNode[Any]) -> None:
        """Call the function, at once or when the value is here."""
        if node._is_away():
            node.way_home().then(lambda _: self.fn(node), self.context)
        else:
            self.fn(node)

    def __eq__(self, other: object) -> bool:
        return bool(self.fn == other or (isinstance(other, WhenHome) and self.fn == other.fn))

    def __hash__(self) -> int:
        return hash(self.fn)


class WayHome:
    """How one value comes to this process: fetched once, for all who wait for that."""

    def __init__(self, engine: "Engine", held: "HeldValue") -> None:
        self.engine = engine
        self.held = held
        self.loop: AbstractEventLoop = engine.loop
        self.arrived: Future[None] | None = None
        self.is_over = False
        self.fetched: Any = None
        self.error: BaseException | None = None

    def set_out(self) -> None:
        """Begin to fetch the value, if nobody has."""
        if self.arrived is not None or self.is_over:
            return
        self.arrived = self.loop.create_future()
        # In a context of its own: it fetches for all who wait, and whoever asked first may be cancelled.
        task = self.engine.context.copy().run(self.loop.create_task, self.fetch())
        fetching = self.engine.fetching
        fetching.add(task)  # the loop holds it weakly
        task.add_done_callback(fetching.discard)

    async def fetch(self) -> None:
        """Fetch the value, and wake who waits for it."""
        try:
            with self.engine.real_time:
                self.fetched = await self.held.fetch()
        except BaseException as error:  # for all who wait to raise
            self.error = error
            if not isinstance(error, Exception):
                raise
        finally:
            self.is_over = True
            if self.arrived is not None and not self.arrived.done():
                self.arrived.set_result(None)

    def then(self, fn: Callable[[Any], object], context: Context) -> None:
        """Have a function called when the value is here."""
        if self.arrived is not None:
            self.arrived.add_done_callback(fn, context=context)

    def __await__(self) -> Generator[Any, None, None]:
        if not self.is_over:
            waiter: Future[None] = self.loop.create_future()
            self.then(lambda _: None if waiter.done() else waiter.set_result(None), copy_context())
            yield from waiter

    def value(self) -> Any:
        """Return the value, or raise why it did not come. Fetches it now if nobody has begun to."""
        if not self.is_over:
            self.fetched = self.held.fetch_now()
            self.is_over = True
        if self.error is not None:
            raise self.error.with_traceback(None)
        return self.fetched
