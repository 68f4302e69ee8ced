"""Values out of the events of a YAML text: keys, anchors, aliases, merge keys and tags. Nothing here recurses on a text."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

from aiodag.errors import Complaint, WorkflowError
from aiodag.wording import printable
from aiodag.workflows.files.json import DEEPEST, MOST, Path, cut, json_path_text
from aiodag.workflows.files.marks import Mark, Marks, position_of
from aiodag.workflows.files.scalars import NumberRefused, scalar_value
from aiodag.workflows.files.shapes import describe_value

MOST_VALUES = 1_000_000  # of a document, with what its aliases stand for
MOST_TIMES = 100  # how much larger than its text aliases may make a document
FEW_VALUES = 10_000  # which any document may have
MERGE = object()  # in place of a key: what comes belongs into the mapping itself
CORE = "tag:yaml.org,2002:"  # the name of the schema of YAML
KINDS_OF_TAGS: Mapping[str, tuple[type, ...]] = {
    "null": (type(None),),
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "map": (dict,),
    "seq": (list,),
}


class Open:
    """A list or a mapping whose end has not come."""

    __slots__ = ("anchor", "height", "key", "key_mark", "mark", "marks", "merged", "size", "value")

    def __init__(self, value: dict[str, Any] | list[Any], anchor: str | None, mark: Mark) -> None:
        self.value = value
        self.marks: Any = type(value)()
        self.anchor = anchor
        self.mark = mark
        self.size = 1  # values, with those of aliases
        self.height = 1
        self.key: Any = None  # of a mapping: the key whose value comes next
        self.key_mark: Mark = 0
        self.merged: list[tuple[dict[str, Any], Any]] = []


class Anchored:
    """What an anchor stands for."""

    __slots__ = ("height", "marks", "size", "value")

    def __init__(self, value: Any, marks: Marks, size: int, height: int) -> None:
        self.value, self.marks, self.size, self.height = value, marks, size, height


class Composing:
    """One document on its way out of events. What is wrong gathers here; what makes the rest doubtful is raised."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.complaints: list[Complaint] = []
        self.document: Any = None
        self.marks: Marks = 0
        self._open: list[Open] = []
        self._anchors: dict[str, Anchored] = {}
        self._size = 0  # as it is written
        self._expanded = 0  # with what aliases stand for

    # Events

    def add_scalar(self, text: str, anchor: str | None, mark: Mark, *, tag: str | None, plain: bool) -> None:
        """Take a text: a key, or a value."""
        self._count(1, mark)
        top = self._open[-1] if self._open else None
        if top is not None and top.key is None and isinstance(top.value, dict):
            self._take_key(top, MERGE if plain and tag is None and text == "<<" else text, mark)
            if anchor is not None:
                self._anchors[anchor] = Anchored(text, mark, 1, 0)
            return
        value = self._tagged(self._scalar(text, tag, mark, plain=plain), tag, mark)
        if anchor is not None:
            self._anchors[anchor] = Anchored(value, mark, 1, 0)
        self._put(value, mark, 1, 0)

    def open_container(
        self, value: dict[str, Any] | list[Any], anchor: str | None, mark: Mark, *, tag: str | None
    ) -> None:
        """Take the beginning of a list or a mapping."""
        self._count(1, mark)
        if len(self._open) >= DEEPEST:
            self._refuse(mark, f"is nested deeper than {DEEPEST} levels")
        self._refuse_as_key(mark)
        self._tagged(value, tag, mark)
        self._open.append(Open(value, anchor, mark))

    def close_container(self) -> None:
        """Take the end of a list or a mapping."""
        closed = self._open.pop()
        if closed.merged:
            merge_into(closed)
        marks = (closed.mark, closed.marks)
        if closed.anchor is not None:
            self._anchors[closed.anchor] = Anchored(closed.value, marks, closed.size, closed.height)
        self._put(closed.value, marks, closed.size, closed.height)

    def add_alias(self, name: str, mark: Mark) -> None:
        """Take a copy of what an anchor stands for: what reads a document may change it in place."""
        if any(each.anchor == name for each in self._open):
            self._refuse(mark, f"*{printable(name)} stands for something that it is in itself")
        found = self._anchors.get(name)
        if found is None:
            near = get_close_matches(name, list(self._anchors)[:1000], n=1)
            hint = f"; did you mean *{near[0]}?" if near else ""
            self._refuse(mark, f"*{cut(printable(name))}: no &{cut(printable(name))} comes before it{hint}")
        top = self._open[-1] if self._open else None
        if top is not None and top.key is None and isinstance(top.value, dict):
            if not isinstance(found.value, str):
                self._refuse_as_key(mark)
            self._count(1, mark)
            self._take_key(top, found.value, mark)
            return
        if len(self._open) + found.height > DEEPEST:
            self._refuse(mark, f"is nested deeper than {DEEPEST} levels, with what *{printable(name)} stands for")
        self._count(1, mark, expanded=found.size)
        self._put(copied(found.value), found.marks, found.size, found.height)

    def finish(self) -> None:
        """Refuse a document that aliases have blown up."""
        if self._expanded > max(FEW_VALUES, MOST_TIMES * self._size):
            times = f"{self._expanded:,} values out of {self._size:,}"
            self._refuse(0, f"its aliases make {times}; a document may be {MOST_TIMES} times as large as its text")

    # What becomes of them

    def _take_key(self, top: Open, key: Any, mark: Mark) -> None:
        top.key, top.key_mark = key, mark
        if key == "":
            self._complain(mark, "has an empty key; keys are text")
        elif key is MERGE:
            if top.merged:
                self._complain(mark, "has << twice in one mapping: write <<: [*one, *other]")
        elif key in top.value:
            line = position_of(mark_of(top.marks[key]))[0]
            text = "is given for the second time in one mapping, and one would be lost"
            self._complain(mark, f"{text}; the first is on line {line}", key)

    def _put(self, value: Any, marks: Marks, size: int, height: int) -> None:
        """Put a value where it belongs."""
        if not self._open:
            self.document, self.marks = value, marks
            return
        top = self._open[-1]
        top.size += size
        top.height = max(top.height, height + 1)
        if isinstance(top.value, list):
            top.value.append(value)
            top.marks.append(marks)
            return
        key, top.key = top.key, None
        if key is MERGE:
            self._merge(top, value, marks)
        elif key not in top.value:
            top.value[key] = value
            top.marks[key] = (top.key_mark, marks[1]) if isinstance(marks, tuple) else top.key_mark

    def _merge(self, top: Open, value: Any, marks: Any) -> None:
        """Keep what is merged into a mapping until its end: keys of its own come before those."""
        each = list(zip(value, marks[1], strict=True)) if isinstance(value, list) else [(value, marks)]
        if not all(isinstance(found, dict) for found, _ in each):
            what = describe_value(value)
            self._complain(top.key_mark, f"<< takes a mapping, such as *defaults, or a list of them; this is {what}")
            return
        top.merged += [(found, inner[1]) for found, inner in each]

    def _scalar(self, text: str, tag: str | None, mark: Mark, *, plain: bool) -> Any:
        if (not plain and tag in {None, "!"}) or tag in {"!", f"{CORE}str"}:
            return text
        try:
            value = scalar_value(text)
        except NumberRefused as refused:
            self._complain(mark, str(refused))
            return 1  # which raises no further complaint
        return float(value) if tag == f"{CORE}float" and isinstance(value, int) and value is not True else value

    def _tagged(self, value: Any, tag: str | None, mark: Mark) -> Any:
        """Return a value that its tag allows."""
        if tag is None or tag in {"!", f"{CORE}str"}:
            return value
        kinds = KINDS_OF_TAGS.get(tag.removeprefix(CORE)) if tag.startswith(CORE) else None
        shown = cut(printable(tag.replace(CORE, "!!")))
        if kinds is None:
            text = f"has the tag {shown}; tags here are !!str, !!int, !!float, !!bool, !!null, !!map and !!seq"
            self._complain(mark, f"{text}: a file makes no objects")
        elif type(value) not in kinds:
            self._complain(mark, f"has the tag {shown}; this is {describe_value(value)}")
        return value

    def _count(self, written: int, mark: Mark, expanded: int = 1) -> None:
        self._size += written
        self._expanded += expanded
        if self._expanded > MOST_VALUES:
            self._refuse(mark, f"has more than {MOST_VALUES:,} values, with what its aliases stand for")

    def _refuse_as_key(self, mark: Mark) -> None:
        """Refuse a list or a mapping where a key is to come."""
        top = self._open[-1] if self._open else None
        if top is not None and top.key is None and isinstance(top.value, dict):
            text = (
                'has a list or a mapping as a key, and keys are text. Put quotes around a text with braces: "{{DAY}}"'
            )
            self._refuse(mark, text)

    # Complaints

    def _path(self) -> Path:
        """Return the path of what comes next."""
        parts: list[str | int] = []
        for each in self._open:
            if isinstance(each.value, list):
                parts.append(len(each.value))
            elif isinstance(each.key, str):
                parts.append(each.key)
        return tuple(parts)

    def _complain(self, mark: Mark, text: str, key: str | None = None) -> None:
        if len(self.complaints) < MOST:
            path = self._path()
            self.complaints.append(Complaint(self._place(mark, path if key is None else (*path[:-1], key)), text))

    def _refuse(self, mark: Mark, text: str) -> NoReturn:
        raise WorkflowError([*self.complaints, Complaint(self._place(mark, self._path()), text)])

    def _place(self, mark: Mark, path: Path) -> str:
        line = position_of(mark)[0]
        where = self.source if not line else f"{self.source}:{line}" if self.source else f"line {line}"
        return f"{where} {json_path_text(path)}".lstrip()


def merge_into(closed: Open) -> None:
    """Put what is merged before the keys that a mapping has itself; of what is merged the first counts."""
    own, own_marks = closed.value, closed.marks
    assert isinstance(own, dict)
    value: dict[str, Any] = {}
    marks: dict[str, Any] = {}
    for merged, merged_marks in closed.merged:
        for key, each in merged.items():
            if key not in value:
                value[key], marks[key] = each, merged_marks[key]
    closed.value, closed.marks = {**value, **own}, {**marks, **own_marks}


def mark_of(marks: Marks) -> Mark:
    """Return the mark of a value."""
    return marks[0] if isinstance(marks, tuple) else marks


def copied(value: Any) -> Any:
    """Return a copy of a value, which is nowhere deeper than a document may be."""
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    return [copied(each) for each in value] if isinstance(value, list) else value
