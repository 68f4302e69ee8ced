"""Types that are recorded in a form of their own, by what their owner has registered."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from aiodag.errors import Undecodable
from aiodag.names import import_name

T = TypeVar("T")


class Registered(NamedTuple):
    """How values of one type are recorded, and by which name they are known."""

    kind: type
    name: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


class Types:
    """Types by themselves and by their names."""

    def __init__(self, further: "Types | None" = None) -> None:
        self.further = further  # where what is not here is looked for
        self._by_kind: dict[type, Registered] = {}
        self._by_name: dict[str, Registered] = {}

    def register(
        self, kind: type[T], encode: Callable[[T], Any], decode: Callable[[Any], T], *, name: str | None = None
    ) -> None:
        """Record values of exactly this type as what `encode` makes of them, and read them with `decode`.

        `encode` returns anything that can be recorded. Records have `name`, so it must stay the same; by default it is
        the class's `module:qualname`. Registering the same again replaces it. Raises `TypeError` for what is not a type or not
        a function, and `ValueError` for a name that another type has.

        >>> from array import array
        >>> from aiodag.codec import register_codec
        >>> register_codec(array, lambda value: [value.typecode, value.tolist()], lambda parts: array(*parts))
        """
        given: Any = kind
        functions: tuple[Any, ...] = (encode, decode)
        if not isinstance(given, type) or not all(map(callable, functions)):
            msg = f"register({given!r}, ...) takes a type and two functions: to record its values, and to read them"
            raise TypeError(msg)
        known = import_name(kind) if name is None else name
        other = self._by_name.get(known)
        taken = other is not None and import_name(other.kind) != import_name(kind)
        if not known or taken:
            msg = f"name={known!r} cannot work: {'another type has it' if taken else 'it is empty'}"
            raise ValueError(msg)
        self._by_kind[kind] = self._by_name[known] = Registered(kind, known, encode, decode)

    def of(self, kind: type) -> Registered | None:
        """Return how values of a type are recorded, if somebody has said it."""
        found = self._by_kind.get(kind)
        return found if found is not None or self.further is None else self.further.of(kind)

    def decode_registered(self, name: object, parts: object) -> Any:
        """Return the value of a record. Raises `Undecodable`."""
        found = self._by_name.get(name) if type(name) is str else None
        if found is None and self.further is not None:
            return self.further.decode_registered(name, parts)
        if found is None:
            why = f"no type is registered as {name!r:.80}"
            raise Undecodable(why)
        return found.decode(parts)


REGISTERED = Types()  # of everybody: as with `copyreg`, a type has one form in a process
