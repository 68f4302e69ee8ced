"""What a type checker needs to see that a node passes where its value is expected.

A task of `(int, str)` takes an int or an awaitable of an int first. `ParamSpec` cannot say so, but the type of
`self` can: a task whose `_signature` is a `Callable[Concatenate[A1, Q], R]` is a `Takes1[A1, Q, R]`, and its `A1`
can be given as `A1 | Awaitable[A1]`. There is one protocol for each number of leading parameters; all that follows
them, keywords and defaults included, is `Q` and is checked as it stands.

At run time nothing is here but two type variables.
"""

from typing import TYPE_CHECKING, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from concurrent.futures import Executor as Pool
    from datetime import timedelta
    from typing import Any, Concatenate, Literal, Protocol, TypeAlias, TypedDict

    from aiodag._core.limits import Limit
    from aiodag._core.node import Node
    from aiodag._core.options import Backoff
    from aiodag.abc import Codec, Executor

    Q = ParamSpec("Q")
    T = TypeVar("T")
    Given: TypeAlias = T | Awaitable[T]
    R_co = TypeVar("R_co", covariant=True)
    A1 = TypeVar("A1", contravariant=True)
    A2 = TypeVar("A2", contravariant=True)
    A3 = TypeVar("A3", contravariant=True)
    A4 = TypeVar("A4", contravariant=True)
    A5 = TypeVar("A5", contravariant=True)
    A6 = TypeVar("A6", contravariant=True)
    A7 = TypeVar("A7", contravariant=True)
    A8 = TypeVar("A8", contravariant=True)

    class Takes1(Protocol[A1, Q, R_co]):
        @property
        def _signature(self) -> Callable[Concatenate[A1, Q], R_co]: ...

    class Takes2(Protocol[A1, A2, Q, R_co]):
        @property
        def _signature(self) -> Callable[Concatenate[A1, A2, Q], R_co]: ...

    class Takes3(Protocol[A1, A2, A3, Q, R_co]):
        @property
        def _signature(self) -> Callable[Concatenate[A1, A2, A3, Q], R_co]: ...

    class Takes4(Protocol[A1, A2, A3, A4, Q, R_co]):
        @property
        def _signature(self) -> Callable[Concatenate[A1, A2, A3, A4, Q], R_co]: ...

    class Takes5(Protocol[A1, A2, A3, A4, A5, Q, R_co]):
        @property
        def _signature(self) -> Callable[Concatenate[A1, A2, A3, A4, A5, Q], R_co]: ...

    class Takes6(Protocol[A1, A2, A3, A4, A5, A6, Q, R_co]):
        @property
        def _signature(self) -> Callable[Concatenate[A1, A2, A3, A4, A5, A6, Q], R_co]: ...

    class Takes7(Protocol[A1, A2, A3, A4, A5, A6, A7, Q, R_co]):
        @property
        def _signature(self) -> Callable[Concatenate[A1, A2, A3, A4, A5, A6, A7, Q], R_co]: ...

    class Takes8(Protocol[A1, A2, A3, A4, A5, A6, A7, A8, Q, R_co]):
        @property
        def _signature(self) -> Callable[Concatenate[A1, A2, A3, A4, A5, A6, A7, A8, Q], R_co]: ...

    Wraps: TypeAlias = Callable[[Node[Any], Callable[[], Awaitable[Any]]], Awaitable[Any]]

    ExecutorTypes: TypeAlias = str | Executor | Pool

    class OptionTypes(TypedDict, total=False):
        name: str
        retries: int
        lost_retries: int
        backoff: "float | timedelta | Callable[[int], float] | Callable[[int, Exception], float] | Backoff"
        retry_on: "type[BaseException] | tuple[type[BaseException], ...] | Callable[[Exception], bool]"
        timeout: "float | timedelta | Callable[[int], float | timedelta | None] | None"
        limit: "int | Limit | None"
        priority: int
        resources: "Mapping[str, float] | Callable[[int], Mapping[str, float]] | None"
        middleware: "Sequence[Wraps]"
        executor: "ExecutorTypes"
        raw: bool
        version: "str | int"
        former: "str | Sequence[str]"
        key: "str | Callable[..., object]"
        journal: bool
        cache: "bool | float | timedelta"
        codec: "Literal['json', 'pickle'] | Codec"
