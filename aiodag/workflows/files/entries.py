"""The tasks of a document, one by one: their names, their contents, and their order."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from aiodag.workflows.files.details import Flat, Literals, flatten_details
from aiodag.workflows.files.forms import ITEM, TASK, Check, Hints, check_object
from aiodag.workflows.files.json import Fault, Path, cut, json_path_text
from aiodag.workflows.files.shapes import describe_value, is_name

MOST_EDGES = 10_000_000  # that `children` which name a class may make
BROKEN: frozenset[str] = frozenset({"of a task that is not an object"})
NO_PLACES: Mapping[str, Path] = {}
EXAMPLE = '{"command": ["echo", "hello"]}'


class DocumentEntry:
    """One task of a document. There may be a million: what can be told from other things is not kept."""

    __slots__ = ("_among", "_keys", "_part", "detailed", "name", "places", "values")

    def __init__(self, name: str, among: Path, part: str | int, given: Flat, *, detailed: bool = False) -> None:
        self.name = name
        self.values = given.values  # what is right
        self.places = given.places  # of keys that stand elsewhere in the task
        self.detailed = detailed
        self._keys = given.keys if len(given.keys) > len(given.values) else None
        self._among, self._part = among, part

    @property
    def keys(self) -> AbstractSet[str]:
        """All keys that are there."""
        return self.values.keys() if self._keys is None else self._keys

    @property
    def path(self) -> Path:
        """Where it stands in the document."""
        return (*self._among, self._part)

    @property
    def faulty(self) -> bool:
        """Whether a key is not known, or its value is wrong."""
        return len(self.values) < len(self.keys)

    @property
    def asks(self) -> bool:
        """Whether it may ask for resources: itself, or by what it gives."""
        return bool(self.values.get("resources") or self.values.get("generator"))

    def let_go(self) -> None:
        """Forget what is in it: it has become a task. One with details is still asked for resources."""
        if not self.detailed:
            self.values = {}

    def at(self, *parts: str | int) -> Path:
        """Return the path of something in this task."""
        place: Path = self.places.get(str(parts[0]), parts[:1]) if parts else ()
        return (*self.path, *place, *parts[1:])


class Entries:
    """Reads the tasks of one document, at `path` in it, and notes what is wrong. `giver` is the generator that gave them."""

    def __init__(self, hints: Hints, faults: list[Fault], path: Path, literals: Literals, giver: str = "") -> None:
        self.hints = hints
        self.faults = faults
        self.path = path
        self.literals = literals
        self.giver = giver
        self.unnamed = 0  # tasks without a name of their own that can be used

    def read(self, tasks: Mapping[Any, Any] | list[Any]) -> list[DocumentEntry]:
        """Return the tasks of an object or of a list."""
        return list(self._read_list(tasks) if isinstance(tasks, list) else self._read_map(tasks))

    def _read_map(self, tasks: Mapping[Any, Any]) -> Iterator[DocumentEntry]:
        for key, given in tasks.items():
            part = key if isinstance(key, str) else str(key)
            path = (*self.path, part)
            name = key if is_name(key) else self._stand_in(tasks)
            if name != key:
                self.faults.append(
                    (
                        path,
                        f"cannot be the name of a task: {describe_value(key)}. Names are text without control characters",
                    )
                )
            if isinstance(given, dict):
                yield DocumentEntry(name, self.path, part, self._flat(given, TASK, path), detailed="details" in given)
            else:
                self.faults.append((path, f"takes an object, such as {EXAMPLE}; this is {describe_value(given)}"))
                yield DocumentEntry(name, self.path, part, Flat({}, BROKEN, NO_PLACES))

    def _stand_in(self, taken: Collection[str]) -> str:
        """Return a name for a task that has none, or a bad one: what else is wrong in it is to be told at once."""
        self.unnamed += 1
        while f"task {self.unnamed}" in taken:
            self.unnamed += 1
        return f"task {self.unnamed}"

    def _read_list(self, tasks: list[Any]) -> Iterator[DocumentEntry]:
        """Read the form of lists, where tasks have a class and may have no name of their own."""
        items = [self._item(given, place) for place, given in enumerate(tasks)]
        given_names = {item.name for item in items}
        counts: Counter[str] = Counter()
        taken: dict[str, Path] = {}
        for item in items:
            name, group = item.name, item.values.get("class")
            if not name and group is not None:
                counts[group] += 1
                name = group if counts[group] == 1 else f"{group}-{counts[group]}"
            if name in taken:
                self.faults.append(
                    (item.path, f"is {cut(name)!r}, as {json_path_text(taken[name])} is: give it an id of its own")
                )
            if not name or name in taken:
                name = self._stand_in(given_names | taken.keys())
            taken[name] = item.path
            item.name = name
            yield item

    def _item(self, given: object, place: int) -> DocumentEntry:
        """Return an item of a list."""
        path = (*self.path, place)
        right, keys, places = self._flat(given, ITEM, path)
        if keys.isdisjoint({"id", "name", "class"} | BROKEN):
            self.faults.append((path, "has no id and no class"))
        names = [right[key] for key in ("id", "name") if key in right]
        if len(set(names)) > 1:
            self.faults.append(((*path, "name"), f"is {cut(names[1])!r}, and the id is {cut(names[0])!r}: give one"))
        values = {key: value for key, value in right.items() if key in TASK}
        # Names that are right have been used; what is left is to be among the values, or is wrong.
        left = keys - ({"id", "name"} & right.keys())
        flat = Flat(values, left, places)
        detailed = isinstance(given, dict) and "details" in given
        return DocumentEntry(names[0] if names else "", self.path, place, flat, detailed=detailed)

    def _flat(self, given: object, checks: Mapping[str, Check], path: Path) -> Flat:
        """Return a task with its details among its keys, and with places where the texts of parameters stand."""
        if not isinstance(given, dict):
            return Flat(dict(check_object(given, checks, self.hints, self.faults, path)), BROKEN, NO_PLACES)
        if "details" not in given:
            return Flat(check_object(given, checks, self.hints, self.faults, path), given.keys(), NO_PLACES)
        flat = flatten_details(given, checks, self.hints, self.faults, path)
        return flat._replace(values=self.literals.with_places(flat.values))

    def after(self, entries: list[DocumentEntry], *, outside: bool) -> dict[str, list[str]]:
        """Return what each task waits for, by its name. Names that are not known may be `outside`, or are wrong."""
        after: dict[str, list[str]] = {}
        groups: dict[str, list[str]] = {}
        names = {entry.name for entry in entries}
        for entry in entries:
            if "class" in entry.values:
                groups.setdefault(entry.values["class"], []).append(entry.name)
        edges = 0
        for entry in entries:
            for place, name in enumerate(entry.values.get("parents", ())):
                if self._is_giver(entry, name):
                    continue
                if outside or self._check_edge(entry, "parents", place, name, names, groups):
                    after.setdefault(entry.name, []).append(name)
            for place, name in enumerate(entry.values.get("children", ())):
                if outside and entry.detailed and name not in names and name not in groups:
                    continue  # what comes after the generator waits for all that this has given
                if self._check_edge(entry, "children", place, name, names, groups):
                    children = groups.get(name) or [name]
                    edges += len(children)
                    if edges > MOST_EDGES:
                        text = f"would make more than {MOST_EDGES:,} edges: name a class as parent of the other tasks"
                        self.faults.append((entry.at("children", place), text))
                        return after
                    for child in children:
                        after.setdefault(child, []).append(entry.name)
        return after

    def _is_giver(self, entry: DocumentEntry, name: str) -> bool:
        """Return True for the generator that has given a task with details: those name it as their parent."""
        return entry.detailed and bool(self.giver) and self.giver.split("[", 1)[0] == name.split("[", 1)[0]

    def _check_edge(
        self, entry: DocumentEntry, key: str, place: int, name: str, names: set[str], groups: Mapping[str, list[str]]
    ) -> bool:
        """Return True if an edge leads to a task or a class other than its own."""
        if name == entry.name and len(groups.get(name, (name,))) == 1:
            self.faults.append((entry.at(key, place), f"is {cut(name)!r} itself"))
            return False
        if name in names or name in groups:
            return True
        hint = self.hints.near(name, names, groups)
        self.faults.append((entry.at(key, place), f"is {cut(name)!r}, and no task or class here has that name{hint}"))
        return False
