"""The options of a task: what is known, what it may be, what it becomes."""

from collections.abc import Callable
from concurrent.futures import Executor as Pool
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from aiodag._core.capacity import requests_of
from aiodag._core.doors import open_door
from aiodag._core.layers import layers_of
from aiodag._core.limits import Limit, finite_number
from aiodag._core.named import EXECUTORS, NamedExecutor
from aiodag._core.varying import is_plain_function, takes_error
from aiodag.errors import OptionError, UnknownOption
from aiodag.wording import is_utf8

if TYPE_CHECKING:
    from datetime import timedelta

    from aiodag._core.holdings import Request
    from aiodag.abc import Codec, Middleware

Delay = Callable[[int, BaseException], float]
Predicate = Callable[[BaseException], bool]

CODECS = ("json", "pickle")
RESERVED = frozenset({"", "pickle", "barrier", "recorded"})  # names of codecs that mean something else to a store
LOST_RETRIES = 3


class Backoff:
    """A growing pause between attempts: `first`, then `factor` times longer each, at most `maximum` seconds.

    `jitter` is the share of each pause that chance takes off, from 0 (none) to 1 (all), so that many callers do not
    return at the same moment.

    >>> from aiodag import Backoff
    >>> pause = Backoff(first=1, factor=2, maximum=5, jitter=0)
    >>> [pause(attempt) for attempt in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5.0]
    """

    __slots__ = ("chance", "factor", "first", "jitter", "maximum")

    def __init__(
        self,
        first: "float | timedelta" = 0.1,
        factor: float = 2.0,
        maximum: "float | timedelta" = 60.0,
        jitter: float | bool = 0.1,
    ) -> None:
        self.first = check_seconds("first", first)
        self.factor = check_number("factor", factor, least=1.0)
        self.maximum = check_seconds("maximum", maximum)
        self.jitter = 0.0 if jitter is False else check_number("jitter", jitter, least=0.0)
        if self.jitter > 1:
            raise OptionError("jitter", jitter, "a share from 0 (no jitter) to 1")
        # Looked up here: asyncio does not load random, and `import aiodag` loads nothing that asyncio does not.
        self.chance: Callable[[], float] = import_module("random").random

    def __call__(self, attempt: int) -> float:
        """Return the pause in seconds after a failed attempt, counted from 1."""
        try:
            pause = min(self.first * self.factor ** (attempt - 1), self.maximum)
        except OverflowError:
            pause = self.maximum
        return float(pause * (1 - self.jitter * self.chance()))

    def __repr__(self) -> str:
        return f"Backoff({self.first}, {self.factor}, {self.maximum}, {self.jitter})"


class TaskOptions:
    """The checked options of one task. Immutable: `with_options` makes another."""

    __slots__ = (
        "backoff",
        "cache",
        "codec",
        "executor",
        "former",
        "given",
        "journal",
        "key",
        "limit",
        "lost_retries",
        "middleware",
        "name",
        "priority",
        "raw",
        "resources",
        "retries",
        "retry_on",
        "timeout",
        "version",
    )

    def __init__(self, **given: Any) -> None:
        unknown = [option for option in given if option not in KNOWN]
        if unknown:
            raise UnknownOption(unknown[0], KNOWN)
        self.given = given
        self.name: str | None = check_name(given.get("name"))
        self.retries: int = retries_of(given.get("retries", 0))
        self.lost_retries: int = retries_of(given.get("lost_retries", LOST_RETRIES), "lost_retries")
        self.backoff: Delay = delay_of(given.get("backoff", 0))
        self.retry_on: Predicate = predicate_of(given.get("retry_on", Exception))
        self.timeout: float | Callable[[int], Any] | None = time_limit_of(given.get("timeout"))
        self.limit: Limit | None = limit_of(given.get("limit"))
        if self.limit is not None:
            self.given = {**self.given, "limit": self.limit}  # a task made from this one shares it
        self.priority: int = priority_of(given.get("priority", 0))
        self.resources: Request | Callable[[int], Any] | None = None
        if given.get("resources") is not None:
            self.resources = requests_of(given["resources"])
            if not callable(self.resources):
                self.given = {**self.given, "resources": dict(given["resources"])}  # as it is now
        self.middleware: tuple[Middleware, ...] = layers_of(given.get("middleware", ()))
        self.executor: Any = executor_of(given.get("executor"))
        self.raw: bool = flag("raw", given.get("raw", False))
        # Of runs that have a store.
        self.version: str = check_version(given.get("version"))
        self.former: tuple[str, ...] = former_of(given.get("former", ()))
        self.key: Any = check_key(given.get("key"))
        self.journal: bool = flag("journal", given.get("journal", True))
        self.cache: bool | float = cache_of(given.get("cache", False))
        self.codec: str | Codec = codec_of(given.get("codec", CODECS[0]))

    def but(self, **changes: object) -> "TaskOptions":
        """Return these options with some changed."""
        return TaskOptions(**{**self.given, **changes})

    def renamed(self, name: str, version: str) -> "TaskOptions":
        """Return these options with another name and version, which are right: nothing is checked again."""
        made = object.__new__(TaskOptions)
        for option in TaskOptions.__slots__:
            setattr(made, option, getattr(self, option))
        made.given = {**self.given, "name": name, "version": version}
        made.name, made.version = name, version
        return made


KNOWN = frozenset(TaskOptions.__slots__) - {"given"}


def check_name(given: object) -> str | None:
    """Check a name."""
    if given is None or (isinstance(given, str) and given and not cannot_be_name(given)):
        return given
    raise OptionError(
        "name", given, "a string with at least one character, and no control character or half of a surrogate pair"
    )


def cannot_be_name(text: str) -> bool:
    """Return True if a text has characters that forge or end lines, as a tab does not, or that no store takes."""
    if text.isprintable():
        return False
    return any((each < " " and each != "\t") or each == "\x7f" for each in text) or not is_utf8(text)


def flag(option: str, given: object) -> bool:
    """Check a yes or no."""
    if isinstance(given, bool):
        return given
    raise OptionError(option, given, "True or False")


def retries_of(given: object, option: str = "retries") -> int:
    """Check a number of retries."""
    if type(given) is int and given >= 0:
        return given
    further = "the attempts after the first" if option == "retries" else "the attempts after one that was lost"
    raise OptionError(option, given, f"an int of 0 or more: {further}")


def check_number(option: str, given: object, *, least: float) -> float:
    """Check a finite number."""
    plain = finite_number(given)
    if plain is not None and plain >= least:
        return plain
    raise OptionError(option, given, f"a number of {least:g} or more")


def check_seconds(option: str, given: Any, works: str = "seconds, 0 or more, or a timedelta") -> float:
    """Check a duration; return it in seconds. `works` is what a message says that would."""
    # A timedelta has total_seconds: asyncio does not load datetime, so neither do we.
    plain = finite_number(given.total_seconds() if hasattr(type(given), "total_seconds") else given)
    if plain is not None and plain >= 0:
        return plain
    raise OptionError(option, given, works)


def timeout_of(given: object, works: str = "seconds above 0, or a timedelta") -> float:
    """Check a time after which something ends; return it in seconds. `works` is what a message says that would."""
    timeout = check_seconds("timeout", given, works)
    if timeout == 0:
        raise OptionError("timeout", given, works)
    return timeout


def time_limit_of(given: object) -> float | Callable[[int], Any] | None:
    """Check the time that an attempt may take: seconds, or a function of its number that returns them."""
    if given is None or is_plain_function(given):
        return cast("Callable[[int], Any] | None", given)
    return timeout_of(given, "seconds above 0, a timedelta, or a function of the attempt's number that returns them")


def time_limit_at(timeout: "float | Callable[[int], Any] | None", attempt: int) -> float | None:
    """Return the time that an attempt may take. Raises `OptionError` for what a function returns that cannot be that."""
    found = timeout(attempt) if callable(timeout) else timeout
    return timeout_of(found) if found is not None and callable(timeout) else found


def priority_of(given: object) -> int:
    """Check a priority."""
    if type(given) is int:
        return given
    raise OptionError("priority", given, "an int: higher ones go first where they wait for a limit, or for resources")


def delay_of(given: object) -> Delay:
    """Return the pause after an attempt, as a function of its number and of how it failed."""
    if not is_plain_function(given):
        works = "seconds, 0 or more, a timedelta, a Backoff, or a function that is not async: fn(attempt), fn(attempt, error)"
        pause = check_seconds("backoff", given, works)
        return lambda _attempt, _error: pause
    if takes_error(given):
        return cast("Delay", given)
    return lambda attempt, _error: given(attempt)


def predicate_of(given: Any) -> Predicate:
    """Return which exceptions are worth another attempt."""
    kinds = given if isinstance(given, tuple) else (given,)
    if kinds and all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        return lambda error: isinstance(error, kinds)
    if is_plain_function(given):
        # Only who names SystemExit has it tried again: a function speaks of what it was written for.
        worth_it = cast("Predicate", given)
        return lambda error: isinstance(error, Exception) and bool(worth_it(error))
    wanted = "an exception type, a tuple of them, or a function of the exception that is not async"
    raise OptionError("retry_on", given, wanted)


def limit_of(given: object) -> Limit | None:
    """Return the limit of a task: its own for an int, a shared one as it is."""
    return given if given is None or isinstance(given, Limit) else Limit(given)  # type: ignore[arg-type]  # Limit checks


def executor_of(given: object) -> Any:
    """Return the object with the seam's one method."""
    if given is None:
        return given
    if isinstance(given, str) and given in EXECUTORS:
        return open_door(given).EXECUTOR
    if isinstance(given, str) and given and given.isprintable():
        return NamedExecutor(given)
    if isinstance(given, Pool):
        return open_door("thread").GivenExecutor(given)
    if not isinstance(given, str | type) and callable(getattr(given, "run", None)):
        return given
    raise OptionError(
        "executor",
        given,
        f"{', '.join(map(repr, EXECUTORS))}, a name that the run has, a pool of concurrent.futures, or an object with an async run(fn, ...)",
    )


def takes_async(executor: Any) -> bool:
    """Return whether async functions can run where an executor runs functions."""
    return bool(getattr(executor, "takes_async", not getattr(executor, "plain", False)))


def check_version(given: object) -> str:
    """Check a version; return it as text."""
    if given is None or (
        isinstance(given, str | int) and not isinstance(given, bool) and not cannot_be_name(str(given))
    ):
        return "" if given is None else str(given)
    raise OptionError(
        "version",
        given,
        "a string without control characters and half surrogates, or an int; another one runs again what an earlier one has recorded",
    )


def former_of(given: object) -> tuple[str, ...]:
    """Check the names that a task had when something was recorded of it."""
    names: tuple[Any, ...] = (given,)
    if isinstance(given, list | tuple):
        names = tuple(given)
    if all(isinstance(each, str) and each.rpartition(":")[2] and not cannot_be_name(each) for each in names):
        return names
    wanted = (
        'the name that it had, such as "module:function", or "function" in the file that runs began with; or several'
    )
    raise OptionError("former", given, wanted)


def check_key(given: object) -> Any:
    """Check what tells calls of a task apart in place of their arguments."""
    if given is None or isinstance(given, str) or callable(given):
        return given
    raise OptionError("key", given, "a function of the call's arguments, or a string")


def cache_of(given: object) -> bool | float:
    """Check how old a value may be that another run has computed: True for any age."""
    if isinstance(given, bool):
        return given
    works = "True, or an age in seconds above 0"
    age = check_seconds("cache", given, works)
    if age == 0:
        raise OptionError("cache", given, works)
    return age


def codec_of(given: object) -> Any:
    """Check a codec."""
    if isinstance(given, str) and given in CODECS:
        return given
    parts = (getattr(given, "encode", None), getattr(given, "decode", None))
    name = getattr(given, "name", None)
    if (
        not isinstance(given, str | type)
        and all(map(callable, parts))
        and isinstance(name, str)
        and name not in RESERVED
    ):
        return given
    raise OptionError("codec", given, f"{' or '.join(map(repr, CODECS))}, or an object with a name, encode and decode")


NO_OPTIONS = TaskOptions()
