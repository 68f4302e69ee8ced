r"""The script of a `bash` stage: each `${{ }}` in it becomes a reference to a variable, quoted as its place asks for.

    echo ${{ params.who }}            echo "${AIODAG_VALUE_1}"               one word, whatever the value is
    echo "to ${{ params.who }}"       echo "to ${AIODAG_VALUE_1}"            in double quotes, and in a here-document
    echo 'to ${{ params.who }}'       echo 'to '"${AIODAG_VALUE_1}"''        in single quotes

A shell never parses what a variable holds. So the worst that a script can do which this reader does not understand is to
split a value into words; no value can end a quote or begin a command. Where a shell does read a value again, in arithmetic
and in `eval`, only a whole number is let in, or nothing.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from aiodag.workflows.jobs.stages.placeholders import PREFIX, RESERVED, has_reserved_name, source_with_names

VARIABLE = "AIODAG_VALUE_"
CODE, DOUBLE, SINGLE, ANSI, BRACE, ARITHMETIC, PART, TICK = range(8)
COMMANDS = frozenset({CODE, PART, TICK})  # where commands stand
# What opens a frame, outside of quotes: which frames, each with what closes it.
OPENERS = {
    "$((": [(ARITHMETIC, ")"), (ARITHMETIC, ")")],
    "$(": [(PART, ")")],
    "${": [(BRACE, "}")],
    "$[": [(ARITHMETIC, "]")],
    '"': [(DOUBLE, '"')],
    "`": [(TICK, "`")],
    "$'": [(ANSI, "'")],
    "'": [(SINGLE, "'")],
}
IN_DOUBLE = frozenset({"$((", "$(", "${", "$[", "`"})  # those that open something in double quotes, too
MARKS = re.compile(
    rf"\\?{PREFIX}(?P<number>\d+)_|\\.|<<<|<<-?|\$\(\(|\$\(|\$\{{|\$\[|\$'|\(\(|[\"'`(){{}}\]\n]|(?<![^\s;&|()])\#",
    re.DOTALL,
)
DELIMITER = re.compile(r"[ \t]*((?:'[^'\n]*'|\"[^\"\n]*\"|\\.|[^\s;&|()<>'\"\\])+)")
MOST_FAULTS = 20
MOST_VALUES = 1000  # in one script
DEEPEST_FRAMES = 200
NEAR = 200  # characters before an expression that say what command it belongs to
COMMAND = r"(?:^|[;&|({`]|\b(?:then|do|else|if|elif|while|until|!|sudo|time|command|builtin)\s)\s*"  # where one begins
REST = r"[^;&|\n]*"  # of a command, so far
COMPARISON = r"-(?:eq|ne|lt|le|gt|ge)"
COUNTS = re.compile(
    rf"(?:\s{COMPARISON}\s+|{COMMAND}(?:let\s{REST}|(?:declare|typeset|local)\s+-\w*i\w*\s{REST}=))[\"']?$"
)
COUNTED = re.compile(rf"[\"']?\s+{COMPARISON}\b")
SUBSCRIPT = re.compile(r"\w\[$")
QUOTED_SUBSCRIPT = re.compile(r"\w\[[\"']$")
SUBSTRING = re.compile(r"(?:!?\w+(?:\[[^\]}]*\])?|[@*]):(?![-=+?])")  # of ${name:offset:length}, which are calculated
WORD = r"""(?:"[^"]*|'[^']*|[^\s"']*)"""  # the last one, so far
READ_AGAIN = re.compile(
    rf"(?:(?:^|[\s/;&|(`])(?:ba|da|k|z|a|)sh\s(?:{REST}\s)?-\w*c\s+{WORD}$"
    rf"|(?:^|[\s/;&|(`])(?:ba|da|k|z|)sh(?:\s+-[\w-]+)*(?:\s+-s\s{REST})?\s*<<<\s*{WORD}$"
    rf"|{COMMAND}(?:\\?eval\s{REST}|trap\s+(?:--\s+)?(?!-){WORD}|(?:declare|typeset|local)\s+-\w*n\w*\s{REST}"
    r"|(?:unset|read|mapfile|readarray|getopts|wait\s+-p|printf\s+-v)\s(?:-\w+\s+)*[\"']?"
    r"|(?:declare|typeset|local|export|readonly)\s(?:-\w+\s+)*[\"']?"
    rf"|(?:\[\[?|test)\s(?:{REST}\s)?-v\s+[\"']?)$)"
)
SHELL_READS = re.compile(
    rf"(?:^|[\s/;&|(`])(?:ba|da|k|z|)sh(?:\s+-[\w-]+)*(?:\s+-s\s{REST})?\s*$"
)  # its script on stdin
AGAIN = (
    "${{ }} stands where the shell reads a value again, as code or as the name of a variable. Put it into env, or "
    "hand it over as an argument: bash -c 'echo \"$1\"' name ${{ ... }}"
)


class ShellSource(NamedTuple):
    """A script that a shell can read: with references to variables, of which some have to be whole numbers."""

    text: str
    numbers: frozenset[int]  # of expressions, counted from 1
    faults: tuple[str, ...]


class HereDocument(NamedTuple):
    """A here-document that begins on the next line."""

    end: str
    quoted: bool  # so that no variables are filled in
    tabs: bool  # whether those before its lines are taken away
    script: bool  # whether a shell reads it as one


def variable_of_value(number: int) -> str:
    """Return the variable that has a value in a script."""
    return f"{VARIABLE}{number}"


@lru_cache(maxsize=256)
def shell_source(texts: tuple[str, ...]) -> ShellSource:
    r"""Return the script of the texts around its expressions, and what is wrong with it.

    >>> shell_source(("echo ", " '", "'")).text
    'echo "${AIODAG_VALUE_1}" \'\'"${AIODAG_VALUE_2}"\'\''
    >>> shell_source(("echo $(( ", " + 1 ))")).numbers
    frozenset({1})
    """
    if has_reserved_name(texts):
        return ShellSource("", frozenset(), (RESERVED,))
    if len(texts) > MOST_VALUES + 1:
        fault = (
            f"has {len(texts) - 1:,} expressions, and {MOST_VALUES:,} are the most: put values into env, or into a file"
        )
        return ShellSource("", frozenset(), (fault,))
    return ShellReader(texts).read() if len(texts) > 1 else ShellSource("".join(texts), frozenset(), ())


class ShellReader:
    """Reads a script once from its start, and keeps what it is in: quotes, substitutions, arithmetic."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.source = source_with_names(texts)
        self.frames: list[tuple[int, str]] = [(CODE, "")]
        self.documents: list[HereDocument] = []  # to come
        self.parts: list[str] = []
        self.at = 0
        self.numbers: set[int] = set()
        self.faults: list[str] = []

    def read(self) -> ShellSource:
        """Return the script."""
        while len(self.faults) < MOST_FAULTS and (mark := MARKS.search(self.source, self.at)) is not None:
            self.parts.append(self.source[self.at : mark.start()])
            self.at = mark.end()
            if mark["number"]:
                self._value(mark)
            else:
                self.parts.append(mark[0])
                self._mark(mark[0])
            if len(self.frames) > DEEPEST_FRAMES:
                self._fault(self.at, f"is nested deeper than {DEEPEST_FRAMES} quotes and brackets")
                break
        self.parts.append(self.source[self.at :])
        return ShellSource("".join(self.parts), frozenset(self.numbers), tuple(self.faults))

    def _mark(self, mark: str) -> None:
        kind, closer = self.frames[-1]
        if mark == closer or (kind == SINGLE and mark == "\\'"):  # where a backslash is a character like any other
            self.frames.pop()
        elif kind in {SINGLE, ANSI} or mark.startswith("\\"):
            return
        elif kind == DOUBLE or (kind == BRACE and self._in_double()):
            if mark in IN_DOUBLE or (mark == '"' and kind == BRACE):
                self._open(mark)
        elif mark in OPENERS:
            self._open(mark)
        elif mark in {"(", "(("}:
            self._open_parenthesis(mark, kind)
        elif kind in COMMANDS:
            self._command_mark(mark)

    def _open(self, mark: str) -> None:
        if mark == "`" and any(kind == TICK for kind, _ in self.frames):
            while self.frames.pop()[0] != TICK:
                continue
        elif mark == "${" and SUBSTRING.match(self.source, self.at) is not None:
            self.frames.append((ARITHMETIC, "}"))
        else:
            self.frames += OPENERS[mark]

    def _open_parenthesis(self, mark: str, kind: int) -> None:
        before = self.source[max(self.at - len(mark) - NEAR, 0) : self.at - len(mark)]
        begins = mark == "((" and (before.rstrip(" \t")[-1:] in {"", *"\n;&|({"} or before[-1:].isspace())
        inside = ARITHMETIC if kind == ARITHMETIC or (begins and kind in COMMANDS) else PART
        self.frames += [(inside, ")")] * len(mark)

    def _command_mark(self, mark: str) -> None:
        """Take what means something among commands alone: comments, and here-documents."""
        if mark == "#":
            end = self.source.find("\n", self.at)
            comment = self.source[self.at : len(self.source) if end < 0 else end]
            self.parts.append(without_values(comment))
            self.at += len(comment)
        elif mark in {"<<", "<<-"}:
            found = DELIMITER.match(self.source, self.at)
            if found is not None:
                word = found[1]
                before = command_before(self.source[max(self.at - len(mark) - NEAR, 0) : self.at - len(mark)])
                self.documents.append(
                    HereDocument(
                        end=re.sub(r"['\"\\]", "", word),
                        quoted=any(each in word for each in "'\"\\"),
                        tabs=mark == "<<-",
                        script=SHELL_READS.search(before) is not None,
                    )
                )
                self.parts.append(found[0])
                self.at = found.end()
        elif mark == "\n":
            documents, self.documents = self.documents, []
            for document in documents:
                self._document(document)

    def _document(self, document: HereDocument) -> None:
        begin = self.at
        while self.at < len(self.source):
            stop = self.source.find("\n", self.at) + 1 or len(self.source)
            line = self.source[self.at : stop].rstrip("\n")
            self.at = stop
            if (line.lstrip("\t") if document.tabs else line) == document.end:
                break
        body = self.source[begin : self.at]
        if document.script and PREFIX in body:
            self._fault(begin, AGAIN)
        elif document.quoted and PREFIX in body:
            where = f"the here-document that ends with {document.end!r}, which is quoted and takes no variables"
            self._fault(begin, f"${{{{ }}}} stands in {where}. Write <<{document.end} without quotes")
        self.parts.append(
            re.sub(rf"(\\?){PREFIX}(\d+)_", lambda found: f"{found[1] * 2}${{{VARIABLE}{found[2]}}}", body)
        )

    def _value(self, mark: re.Match[str]) -> None:
        number, start = int(mark["number"]), mark.start()
        kind = self.frames[-1][0]
        before = command_before(self.source[max(start - NEAR, 0) : start])
        if READ_AGAIN.search(before) is not None:
            self._fault(start, AGAIN)
        subscript = QUOTED_SUBSCRIPT if kind in {DOUBLE, SINGLE} else SUBSCRIPT
        counted = COUNTED.match(self.source, mark.end()) is not None
        if counted or self._counts() or any(each.search(before) is not None for each in (COUNTS, subscript)):
            self.numbers.add(number)
        reference = f"${{{VARIABLE}{number}}}"
        if kind == SINGLE:
            self.parts.append(mark[0].partition(PREFIX)[0] + f"'\"{reference}\"'")
            return
        if mark[0].startswith("\\"):
            self.parts.append("\\\\")  # it would take the quote, or the dollar, for itself
        if kind == ANSI:
            self.parts.append(f"'\"{reference}\"$'")
        elif kind == ARITHMETIC or self._in_double():
            self.parts.append(reference)
        else:
            self.parts.append(f'"{reference}"')

    def _in_double(self) -> bool:
        """Return True in double quotes, also within an expansion there."""
        kinds = [kind for kind, _ in reversed(self.frames)]
        return next(kind for kind in kinds if kind != BRACE) == DOUBLE

    def _counts(self) -> bool:
        """Return True where the shell calculates."""
        for kind, _ in reversed(self.frames):
            if kind == ARITHMETIC:
                return True
            if kind in COMMANDS:
                break
        return False

    def _fault(self, place: int, text: str) -> None:
        line = self.source.count("\n", 0, place) + 1
        self.faults.append(f"line {line}: {text}")


def command_before(text: str) -> str:
    """Return the part of a text that belongs to its last line, and to the lines that this continues."""
    return text.replace("\\\n", " ").rpartition("\n")[2]


def without_values(text: str) -> str:
    """Return a comment in which no values stand."""
    return re.sub(rf"{PREFIX}\d+_", "", text)
