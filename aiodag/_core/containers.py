"""Take containers apart and put them together again: what edges are searched for in, and filled into.

A shape serves all containers of one kind. `items` lists what is inside, `copy` takes at the call what must not change
afterwards, and `build` puts values into that copy when the body starts.

Containers are only asked for their type, and read by the methods of the builtin type that they extend: a subclass may
do anything in its own.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from functools import partial
from types import MappingProxyType, SimpleNamespace
from typing import Any


class Shape:
    """How lists, tuples and sets of exactly these types are read and made."""

    objects = False  # Whether these are objects with attributes, in which nodes alone are edges.
    pairs = False  # Whether the first half of the items are keys, and the second half their values.
    ordered = True

    def items(self, container: Any) -> list[Any]:
        """Return what is inside."""
        return list(container)

    def values(self, container: Any) -> Iterable[Any]:
        """Return what is inside, but for the keys of a dict, without making a list of a large container."""
        return container  # type: ignore[no-any-return]  # it can be iterated

    def copy(self, container: Any) -> Any:
        """Return what `build` needs of the container as it is now."""
        return type(container)

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return a container of the same type that holds the items."""
        return copy(items)

    def names(self, copy: Any) -> tuple[str, ...]:
        """Return the names of the items, none where their places say it all."""
        return ()


class SetShape(Shape):
    """How sets are read and made."""

    ordered = False


class DictShape(Shape):
    """How dicts are read and made."""

    pairs, ordered = True, False

    def items(self, container: Any) -> list[Any]:
        """Return the keys, then the values."""
        return [*container, *container.values()]

    def values(self, container: Any) -> Iterable[Any]:
        """Return the values."""
        return container.values()  # type: ignore[no-any-return]  # of a dict

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return a dict of these keys and values."""
        return dict_of_pairs(items)


class ProxyShape(DictShape):
    """How a read-only view of a mapping is read and made."""

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return such a view of a new dict."""
        return copy(dict_of_pairs(items))


class KeysShape(Shape):
    """How the keys of a dict are read and made."""

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return the keys of a new dict."""
        return dict.fromkeys(items).keys()


class ValuesShape(Shape):
    """How the values of a dict are read and made."""

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return the values of a new dict."""
        return dict(enumerate(items)).values()


class ItemsShape(DictShape):
    """How the items of a dict are read and made."""

    ordered = True

    def items(self, container: Any) -> list[Any]:
        """Return the keys, then the values."""
        both = list(container)
        return [key for key, _ in both] + [value for _, value in both]

    def values(self, container: Any) -> Iterable[Any]:
        """Return the values."""
        return (value for _, value in container)

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return the items of a new dict."""
        return dict_of_pairs(items).items()


class Fixed(Shape):
    """How a subclass of tuple or frozenset is read and made: named tuples are the most usual."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self.ordered = base is tuple

    def items(self, container: Any) -> list[Any]:
        """Return what is inside."""
        return list(self.values(container))

    def values(self, container: Any) -> Iterable[Any]:
        """Return what is inside."""
        return self.base.__iter__(container)  # type: ignore[no-any-return]  # of a builtin type

    def copy(self, container: Any) -> Any:
        """Return the container, which cannot change."""
        self.base.__new__(type(container), ())  # Refused now, where it would be refused later.
        return container

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return a container of the same type, without calling its `__new__`."""
        built = self.base.__new__(type(copy), items)
        if getattr(copy, "__dict__", None):
            vars(built).update(vars(copy))
        return built

    def names(self, copy: Any) -> tuple[str, ...]:
        """Return the fields of a named tuple."""
        fields = getattr(type(copy), "_fields", ())
        return fields if type(fields) is tuple and len(fields) == tuple.__len__(copy) else ()


class Changing(Shape):
    """How a subclass of list, set or deque is read and made: a copy is emptied and filled."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self.ordered = base is not set
        self.extend = set.update if base is set else base.extend

    def items(self, container: Any) -> list[Any]:
        """Return what is inside."""
        return list(self.values(container))

    def values(self, container: Any) -> Iterable[Any]:
        """Return what is inside."""
        return self.base.__iter__(container)  # type: ignore[no-any-return]  # of a builtin type

    def copy(self, container: Any) -> Any:
        """Return a copy, with the attributes and settings that it has."""
        return shallow_copy(container)

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return the copy with these items."""
        self.base.clear(copy)
        self.extend(copy, items)
        return copy


class Mapped(DictShape):
    """How a subclass of dict is read and made, such as `defaultdict` and `Counter`: a copy is emptied and filled."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self.ordered = base is OrderedDict

    def items(self, container: Any) -> list[Any]:
        """Return the keys, then the values."""
        return [*self.base.keys(container), *self.base.values(container)]

    def values(self, container: Any) -> Iterable[Any]:
        """Return the values."""
        return self.base.values(container)  # type: ignore[no-any-return]  # of a builtin type

    def copy(self, container: Any) -> Any:
        """Return a copy, with the attributes and settings that it has."""
        return shallow_copy(container)

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return the copy with these keys and values."""
        self.base.clear(copy)
        for key, value in dict_of_pairs(items).items():
            self.base.__setitem__(copy, key, value)
        return copy


class Fields(Shape):
    """How an object with known fields is read and made: a copy whose fields are set, frozen or not."""

    objects = True

    def __init__(self, fields: tuple[str, ...]) -> None:
        self.fields = fields

    def items(self, container: Any) -> list[Any]:
        """Return the values of the fields."""
        return [getattr(container, name, None) for name in self.fields]

    values = items

    def copy(self, container: Any) -> Any:
        """Return a copy, made without `__init__`."""
        return shallow_copy(container)

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return the copy with these values. Neither `__init__` nor `__post_init__` runs again."""
        for name, item in zip(self.fields, items, strict=True):
            if getattr(copy, name, None) is not item:
                object.__setattr__(copy, name, item)
        return copy

    def names(self, copy: Any) -> tuple[str, ...]:
        """Return the fields."""
        return self.fields


class NamespaceShape(Shape):
    """How a `SimpleNamespace` is read and made."""

    objects = True

    def items(self, container: Any) -> list[Any]:
        """Return the values of the attributes."""
        return list(vars(container).values())

    values = items

    def copy(self, container: Any) -> Any:
        """Return a copy."""
        return shallow_copy(container)

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return the copy with these values."""
        vars(copy).update(zip(list(vars(copy)), items, strict=True))
        return copy

    def names(self, copy: Any) -> tuple[str, ...]:
        """Return the names of the attributes."""
        return tuple(vars(copy))


class PartialShape(Shape):
    """How a `functools.partial` is read and made."""

    objects = True

    def items(self, container: Any) -> list[Any]:
        """Return the function and its arguments."""
        return [container.func, *container.args, *container.keywords.values()]

    values = items

    def copy(self, container: Any) -> Any:
        """Return a copy."""
        return shallow_copy(container)

    def build(self, copy: Any, items: list[Any]) -> Any:
        """Return the copy with these arguments."""
        named = len(items) - len(copy.keywords)
        keywords = dict(zip(list(copy.keywords), items[named:], strict=True))
        copy.__setstate__((items[0], tuple(items[1:named]), keywords, vars(copy) or None))
        return copy

    def names(self, copy: Any) -> tuple[str, ...]:
        """Return the names of the arguments, and places of those that have none."""
        return ("function", *map(str, range(len(copy.args))), *copy.keywords)


def dict_of_pairs(items: list[Any]) -> dict[Any, Any]:
    """Return a dict of keys and as many values after them."""
    half = len(items) // 2
    return dict(zip(items[:half], items[half:], strict=True))


def shallow_copy(container: object) -> Any:
    """Return a shallow copy that can be changed. Raises `TypeError` where there is none, as of a member of an Enum."""
    # Imported here: asyncio does not load it on every Python, and `import aiodag` loads nothing that asyncio does not.
    from copy import copy  # noqa: PLC0415 - see above

    new = copy(container)
    if new is container or type(new) is not type(container):
        msg = "copying it does not give another one"
        raise TypeError(msg)
    return new


EXACT: MappingProxyType[type, Shape] = MappingProxyType(
    {list: Shape(), tuple: Shape(), set: SetShape(), frozenset: SetShape(), dict: DictShape()}
)
EMPTY: tuple[dict[Any, Any], ...] = ({}, OrderedDict())
UNUSUAL: MappingProxyType[type, Shape] = MappingProxyType(
    {
        MappingProxyType: ProxyShape(),
        SimpleNamespace: NamespaceShape(),
        **{type(each.keys()): KeysShape() for each in EMPTY},
        **{type(each.values()): ValuesShape() for each in EMPTY},
        **{type(each.items()): ItemsShape() for each in EMPTY},
    }
)
EXTENDED: tuple[tuple[Any, Shape], ...] = (
    (tuple, Fixed(tuple)),
    (list, Changing(list)),
    (OrderedDict, Mapped(OrderedDict)),
    (dict, Mapped(dict)),
    (set, Changing(set)),
    (frozenset, Fixed(frozenset)),
    (deque, Changing(deque)),
    (partial, PartialShape()),
)
BASES = tuple([base for base, _ in EXTENDED])


def shape_of(kind: Any) -> Shape | None:
    """Return how containers of a type are read and made; None for a type that is none."""
    try:
        shape = EXACT.get(kind) or UNUSUAL.get(kind)
    except TypeError:  # A class whose metaclass has no hash; it may still extend one of these.
        shape = None
    if shape is not None:
        return shape
    if issubclass(kind, BASES):
        return next(shape for base, shape in EXTENDED if issubclass(kind, base))
    names = field_names(kind)
    return Fields(names) if names else None


def field_names(kind: Any) -> tuple[str, ...]:
    """Return the names of the fields of a dataclass, or of a class of attrs; none for any other."""
    # Asked for their types, too: a metaclass may answer anything.
    if type(getattr(kind, "__dataclass_fields__", None)) is dict:
        from dataclasses import fields  # noqa: PLC0415 - as in copied()

        return tuple([field.name for field in fields(kind)])
    given = getattr(kind, "__attrs_attrs__", None)
    return tuple([field.name for field in given]) if isinstance(given, tuple) else ()
