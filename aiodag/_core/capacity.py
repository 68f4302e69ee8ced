"""What there is of named resources for the attempts of a run: `Capacity`, and what is refused at the call."""

from asyncio import get_running_loop
from collections.abc import Callable, Mapping, Sequence
from math import floor
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiodag._core.holdings import Holdings, Request, Ticket, fitting_place
from aiodag._core.limits import finite_number, shared_name
from aiodag._core.varying import is_plain_function
from aiodag.errors import NoCapacity, OptionError
from aiodag.sharing import Pool

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag._core.task import Task
    from aiodag.journal import Journal
    from aiodag.sharing import SharedPool

MILLION = 10**6  # amounts are counted in millionths: sums of floats would be off
AMOUNTS = 'a dict of names and amounts, such as {"cores": 2}'


class Capacity:
    """What attempts can hold at once: amounts of named resources, in one place or several, and how many attempts.

    Give it to one `Run` or to several, even in other threads: together they never hold more. A task says with
    `resources={"cores": 2}` what each attempt takes; it gets that in the first place where it fits, and
    `current_node().place` is the number of that place. `limit` bounds the attempts whatever they ask for. Amounts are
    numbers above 0, counted in millionths. Raises `OptionError` for what cannot be an amount.

    `shared` is a name under which all runs of a store count together, those of other processes and hosts too. Say the same
    amounts everywhere: each process keeps to its own. In runs without a store it is as any other.

    >>> import asyncio
    >>> from aiodag import Capacity, Run, current_node, task
    >>> @task(resources={"cores": 2})
    ... async def solve():
    ...     await asyncio.sleep(0)
    ...     return current_node().place
    >>> async with Run("two", capacity=Capacity([{"cores": 2}, {"cores": 2, "gpu": 1}])):
    ...     nodes = solve(), solve()
    >>> [node.result() for node in nodes]
    [0, 1]
    """

    def __init__(
        self,
        places: Mapping[str, float] | Sequence[Mapping[str, float]] = (),
        /,
        *,
        limit: int | None = None,
        shared: str | None = None,
    ) -> None:
        if limit is not None and (type(limit) is not int or limit < 1):
            raise OptionError("limit", limit, "an int of 1 or more: the attempts that may run at once")
        given: Any = [places] if isinstance(places, Mapping) else places
        if isinstance(given, str) or not isinstance(given, Sequence) or not (given or limit):
            raise OptionError("capacity", places, f"{AMOUNTS}, a list of such dicts, or limit=5")
        totals = [dict(request_of("capacity", each)) for each in given] or [{}]
        self.places: tuple[Mapping[str, float], ...] = tuple([MappingProxyType(dict(each)) for each in given])
        self.limit = limit
        self.shared = shared_name(shared)
        self._totals: list[dict[str, int]] = totals
        self._holdings: Holdings | SharedPool = Holdings(totals, limit)
        self._counted: WeakKeyDictionary[Task[..., Any], Task[..., Any]] = WeakKeyDictionary()

    def share(self, journal: "Journal") -> "Capacity":
        """Return the capacity of a run: where it is shared, that of the run's store."""
        if self.shared is None:
            return self
        shared: Capacity = object.__new__(type(self))
        vars(shared).update(vars(self))
        shared._holdings = journal.share(Pool(f"capacity:{self.shared}", self._totals, self.limit))
        return shared

    def lack(self, request: Request) -> str:
        """Return why a request could never be met, or nothing if it could."""
        if fitting_place(self._totals, request, {}) is not None:
            return ""
        most: dict[str, int] = {}
        for name, amount in (pair for each in self._totals for pair in each.items()):
            most[name] = max(amount, most.get(name, 0))
        missing = [name for name, _ in request if name not in most]
        scarce = [name for name, amount in request if amount > most.get(name, amount)]
        if missing or scarce:
            return lacking(missing, scarce, most)
        return f"no place has all of that: there are {' | '.join(map(amounts_text, self._totals))}"

    def enter(self, node: "Node[Any]") -> None:
        """Have a new node of a run count for the limit although it asks for nothing.

        Its task becomes the same one with the option `resources={}`. So plain calls without a limit pay nothing.
        """
        task = node.task
        if self.limit is None or task.options.resources is not None or task.stands_in or task.barrier or task.encloses:
            return
        counted = self._counted.get(task)
        if counted is None:
            counted = self._counted[task] = task.without_resources()
        node.task = counted

    def ask(self, request: Request, priority: int = 0) -> Ticket:
        """Ask for resources: they are held when the ticket's future is done, or gone. Release the ticket in any case."""
        ticket = Ticket(request, get_running_loop(), priority)
        self._holdings.tell(ticket)
        return ticket

    def release(self, ticket: Ticket) -> None:
        """Give everything back, or wait no longer: from any thread, once or again."""
        ticket.leaving = True
        self._holdings.tell(ticket)

    def release_later(self, ticket: Ticket, left: Any) -> None:
        """Give everything back when a thread or process has ended that goes on without its node."""
        ticket.outlives = True
        left.add_done_callback(lambda _: self.release(ticket))

    def __repr__(self) -> str:
        places: list[Any] = [dict(each) for each in self.places]
        parts = [repr(places[0] if len(places) == 1 else places)] if places else []
        parts += [] if self.limit is None else [f"limit={self.limit}"]
        parts += [] if self.shared is None else [f"shared={self.shared!r}"]
        return f"Capacity({', '.join(parts)})"


class Anything(Capacity):
    """The capacity of a run that is only thought through: nobody knows yet what there will be."""

    def __init__(self) -> None:
        super().__init__([{}])

    def lack(self, request: Request) -> str:
        """Refuse nothing."""
        return ""


def request_of(option: str, given: object) -> Request:
    """Check names and amounts."""
    if not isinstance(given, Mapping):
        raise OptionError(option, given, AMOUNTS)
    return tuple(
        sorted((check_resource_name(option, name), amount_of(f"{option}[{name!r}]", given[name])) for name in given)
    )


def check_resource_name(option: str, given: object) -> str:
    """Check the name of a resource."""
    if isinstance(given, str) and given:
        return given
    raise OptionError(option, given, f"{AMOUNTS}: a name is a string with at least one character")


def amount_of(option: str, given: Any) -> int:
    """Return an amount in millionths, of which 0.1 has exactly 100,000; what is finer is cut off."""
    if finite_number(given) is not None:
        whole = int(given)
        millionths: int = whole * MILLION + floor(round((given - whole) * MILLION, 3))
        if millionths > 0:
            return millionths
    raise OptionError(option, given, "a finite number above 0, a millionth or more")


def check_request(task: "Task[..., Any]", run: "Run | None") -> None:
    """Refuse a call whose attempts could never begin. Raises `NoCapacity`."""
    door = by_program if run is None or run.entry is None else by_command_line
    why = refusal(request_at(task.options.resources, 1), None if run is None else run.capacity, door)
    if why:
        raise NoCapacity(task.name, why)


def requests_of(given: object) -> "Request | Callable[[int], Any]":
    """Check what attempts ask for: names and amounts, or a function of the attempt's number that returns them."""
    return given if is_plain_function(given) else request_of("resources", given)


def request_at(resources: "Request | Callable[[int], Any] | None", attempt: int) -> Request:
    """Return what an attempt asks for. Raises `OptionError` for what a function returns that cannot be that."""
    return request_of("resources", resources(attempt)) if callable(resources) else resources or ()


def refusal(request: Request, capacity: Capacity | None, door: "Callable[[Request], str]") -> str:
    """Return what is asked for and why it can never be had, or nothing if it can.

    `door` says how to give it, where there is no capacity: as those who began the run would write it.
    """
    why = capacity.lack(request) if capacity is not None else door(request) if request else ""
    return f"asks for {amounts_text(dict(request))}, and {why}" if why else ""


def by_program(request: Request) -> str:
    """Return how a program gives what is asked for."""
    return f"there is no run with a capacity around it: Run(capacity=Capacity({{{pairs(request)}}}))"


def by_command_line(request: Request) -> str:
    """Return how the command line gives what is asked for."""
    return f"the run has no capacity: {flags(request)}"


def by_workflow(request: Request) -> str:
    """Return how a workflow in Python gives what is asked for."""
    return f"the workflow has no capacity: Workflow(..., capacity={{{pairs(request)}}}), or {flags(request)}"


def by_file(request: Request) -> str:
    """Return how a workflow in a file gives what is asked for."""
    amounts = ", ".join(f'"{name}": {amount_text(amount)}' for name, amount in request)
    return f'the workflow has no capacity: "capacity": {{{amounts}}} in the file, or {flags(request)}'


def flags(request: Request) -> str:
    """Return names and amounts as options of the command line."""
    return " ".join(f"--capacity {name}={amount_text(amount)}" for name, amount in request)


def pairs(request: Request) -> str:
    """Return names and amounts as the inside of a dict."""
    return ", ".join(f"{name!r}: {amount_text(amount)}" for name, amount in request)


def lacking(missing: Sequence[str], scarce: Sequence[str], most: Mapping[str, int]) -> str:
    """Return which resources are missing, which may have been meant, which are too small, and what there is."""
    # Imported here: asyncio does not load difflib, and `import aiodag` loads nothing that asyncio does not.
    from difflib import get_close_matches  # noqa: PLC0415 - see above

    told = [f"there is no {name!r}" for name in missing]
    told += [
        f"no place has more than {amount_text(most[name])}{f' {name}' * (len(missing) + len(scarce) > 1)}"
        for name in scarce
    ]
    near = [each for name in missing for each in get_close_matches(name, most, n=1)]
    hint = f" Did you mean {' and '.join(map(repr, near))}?" if near else ""
    there = f".{hint} There are at most {amounts_text(most)}" if missing else ""
    return f"{', and '.join(told)}{there}"


def capacity_of(given: object) -> Capacity | None:
    """Check the capacity of a run."""
    if given is None or isinstance(given, Capacity):
        return given
    raise OptionError("capacity", given, 'a Capacity, such as Capacity({"cores": 8})')


def asked_amounts(request: Request) -> dict[str, float]:
    """Return what is asked for as people write it: names and amounts."""
    return {name: amount / MILLION for name, amount in request}


def amounts_text(amounts: Mapping[str, int]) -> str:
    """Return amounts as text: cores 2, license 1."""
    return ", ".join(f"{name} {amount_text(amount)}" for name, amount in amounts.items()) or "none"


def amount_text(amount: int) -> str:
    """Return an amount as people write it."""
    return f"{amount / MILLION:.15g}"
