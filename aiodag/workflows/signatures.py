"""What a checker must know of what a workflow takes; nothing at run time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag._core.signatures import ExecutorTypes, Wraps
    from aiodag.abc import Host, Observer

R_co = TypeVar("R_co", covariant=True)


class Function(Protocol[R_co]):
    """Anything with a name that is called: not every callable, for then a checker would take a task for one, too."""

    __qualname__: str

    def __call__(self, *args: Any, **kwargs: Any) -> R_co:
        """Take any arguments: they are checked when a task is added."""
        ...


class RunTypes(TypedDict, total=False):
    """The options of `run`."""

    limit: int | None
    fail_fast: bool
    observers: "Iterable[Observer]"
    middleware: "Sequence[Wraps]"
    capacity: Any
    tags: Mapping[str, str] | None
    opened: "Callable[[Run], object] | None"
    hosts: Mapping[str, Any] | None
    default_host: "str | Host | None"
    executors: Mapping[str, Any] | None
    executor: "ExecutorTypes | None"
