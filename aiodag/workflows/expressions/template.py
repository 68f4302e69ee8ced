"""Texts with expressions and variables in them, alone or anywhere in lists and mappings."""

import re
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from itertools import groupby
from typing import Any, TypeAlias

from aiodag.errors import ExpressionError
from aiodag.workflows.expressions.environment import Variable, variable_at
from aiodag.workflows.expressions.evaluation import Names as Names  # noqa: PLC0414 - the type of what templates are given
from aiodag.workflows.expressions.evaluation import Read as Read  # noqa: PLC0414 - as above
from aiodag.workflows.expressions.expression import Expression, expression_of, show_expression
from aiodag.workflows.expressions.joining import join_pieces
from aiodag.workflows.expressions.lexemes import LONGEST_EXPRESSION, Malformed, cut_part, lexemes_of
from aiodag.workflows.expressions.values import Unfit

DEEPEST_TEMPLATE = 100
MOST_FAULTS = 10  # of one text
BEGINNING = re.compile(r"\$\$?\{")
# Up to the first }} that does not stand in a text. Each character can be read in one way only.
WHOLE = re.compile(r"""\$\{\{((?:[^'"}]|'[^']*'|"(?:[^"\\]|\\.)*"|\}(?!\}))*)\}\}""", re.DOTALL)
Pieces: TypeAlias = "list[str | Expression | Variable]"
Place: TypeAlias = tuple[str | int, ...]
NO_PLACES: Mapping[Place, str] = {}


class ExpressionFaults(ValueError):
    """Carries what is wrong with the expressions of a value to where its place is known: paths inside it, and texts."""

    def __init__(self, faults: list[tuple[Place, str]]) -> None:
        self.faults = faults
        super().__init__("; ".join(text for _, text in faults))


class TextTemplate:
    """A text with something to fill in: `pieces` are texts, expressions and variables, in their order."""

    __slots__ = ("pieces", "source")

    def __init__(self, source: str, pieces: Pieces) -> None:
        self.source = source
        self.pieces = pieces

    def render(self, scope: Names) -> Any:
        """Return the text; of an expression alone its value, as it is."""
        values = [each if isinstance(each, str) else each.value(scope) for each in self.pieces]
        if len(values) == 1:
            return values[0]
        try:
            return join_pieces(values)
        except Unfit as error:
            raise ExpressionError(repr(cut_part(self.source)), str(error)) from None


class Template:
    """A value of a document that has been read: plain, a text with expressions, or both in lists and mappings.

    `names` are the paths that it reads, `plain` is True where it reads nothing: its value is always the same.
    """

    __slots__ = ("body", "names", "paths", "places", "plain", "source")

    def __init__(self, source: Any, body: Any, texts: list[tuple[Place, TextTemplate]]) -> None:
        self.source = source
        self.body = body  # as the source, with a `TextTemplate` in the place of each text that has something to fill in
        self.paths = [path for path, _ in texts]  # where these stand in the source
        self.places: Mapping[Place, str] = NO_PLACES
        pieces = [piece for _, text in texts for piece in text.pieces if not isinstance(piece, str)]
        self.names = frozenset[Read]().union(*(each.names for each in pieces if isinstance(each, Expression)))
        self.plain = not pieces

    def located(self, place_of: Callable[[Place], str]) -> "Template":
        """Return the same template at a place in a document, which errors then name: `etl.yaml:7 $.jobs.a.env.X`."""
        if not self.paths:
            return self
        made = copy(self)
        made.places = {path: place_of(path) for path in self.paths}
        return made

    def render(self, scope: Names) -> Any:
        """Return the value: an expression alone keeps its type. Raises `ExpressionError`."""
        return self.body if self.plain else self._filled(self.body, scope, ())

    def _filled(self, body: Any, scope: Names, path: Place) -> Any:
        """Return a part of the value with its texts filled in. No deeper than what `template_of` lets in."""
        if isinstance(body, TextTemplate):
            try:
                return body.render(scope)
            except ExpressionError as error:
                raise error.at(self.places.get(path, "")) from error.__cause__
        if isinstance(body, dict):
            return {key: self._filled(each, scope, (*path, key)) for key, each in body.items()}
        return (
            [self._filled(each, scope, (*path, place)) for place, each in enumerate(body)]
            if isinstance(body, list)
            else body
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """What stands around the expressions of a text: one more than there are expressions, "" where nothing is."""
        pieces = self.body.pieces if isinstance(self.body, TextTemplate) else [str(self.body)]
        texts = [""]
        for each in pieces:
            if isinstance(each, str):
                texts[-1] += each
            else:
                texts.append("")
        return tuple(texts)

    def fill(self, scope: Names, write: Callable[[Any], str]) -> str:
        """Return a text with what `write` gives for the value of each expression: for scripts, which are not pasted into.

        Raises `ExpressionError`.
        """
        pieces = self.body.pieces if isinstance(self.body, TextTemplate) else [str(self.body)]
        try:
            return "".join(each if isinstance(each, str) else write(each.value(scope)) for each in pieces)
        except ExpressionError as error:
            raise error.at(self.places.get((), "")) from error.__cause__


def template_of(value: Any, *, environment: bool = True) -> Template:
    """Read a value of a document; `environment` says whether `${NAME}` is expanded. Raises `ExpressionFaults`."""
    reader = TemplateReader(environment=environment)
    body = reader.read(value, ())
    if reader.faults:
        raise ExpressionFaults(reader.faults)
    return Template(value, body, reader.texts)


class TemplateReader:
    """Reads the texts of one value, and collects what is wrong with them."""

    def __init__(self, *, environment: bool) -> None:
        self.environment = environment
        self.faults: list[tuple[Place, str]] = []
        self.texts: list[tuple[Place, TextTemplate]] = []

    def read(self, value: Any, path: Place) -> Any:
        """Return a value with templates in the places of texts that have something to fill in."""
        if isinstance(value, str):
            return self.text(value, path) if "$" in value else value
        if not isinstance(value, dict | list) or not value:
            return value
        if len(path) == DEEPEST_TEMPLATE:
            self.faults.append((path, f"is nested deeper than {DEEPEST_TEMPLATE} levels"))
            return value
        if isinstance(value, list):
            return [self.read(each, (*path, place)) for place, each in enumerate(value)]
        self.check_keys(value, path)
        return {key: self.read(each, (*path, key)) for key, each in value.items()}

    def check_keys(self, value: Mapping[Any, Any], path: Place) -> None:
        """Complain about keys that look like templates: only values are."""
        wrong = [key for key in value if isinstance(key, str) and "${{" in key]
        self.faults += [
            ((*path, key), "is a key, and only values are filled in: ${{ }} stays as it is here") for key in wrong
        ]

    def text(self, text: str, path: Place) -> Any:
        """Return a text as a template, or as it is if nothing in it is filled in."""
        pieces: Pieces = []
        for are_texts, group in groupby(self.pieces_of(text, path), lambda piece: isinstance(piece, str)):
            run = [*group]
            pieces += filter(None, ["".join(map(str, run))]) if are_texts else run
        if all(isinstance(each, str) for each in pieces):
            return "".join(map(str, pieces))
        template = TextTemplate(text, pieces)
        self.texts.append((path, template))
        return template

    def pieces_of(self, text: str, path: Place) -> Iterator[str | Expression | Variable]:
        """Yield the pieces of a text; after a fault it goes on behind it, so that all are found."""
        place, faults = 0, 0
        while faults < MOST_FAULTS and (found := BEGINNING.search(text, place)) is not None:
            yield text[place : found.start()]
            try:
                piece, place = self.piece_at(text, found.start())
                yield piece
            except Malformed as error:
                shown = show_from(text, found.start())
                self.faults.append((path, f"{shown}: {error}" if shown else str(error)))
                end = text.find("}}", found.start())
                place, faults = end + 2 if end >= 0 else len(text), faults + 1
        yield text[place:]

    def piece_at(self, text: str, place: int) -> tuple[str | Expression | Variable, int]:
        """Return what a dollar sign begins, and where that ends. Raises `Malformed`."""
        if text.startswith("${{", place):
            return expression_at(text, place)
        if text.startswith("$${{", place) or (self.environment and text.startswith("$", place + 1)):
            return "${", place + 3
        return variable_at(text, place) if self.environment else ("$", place + 1)


def expression_at(text: str, place: int) -> tuple[Expression, int]:
    """Read the expression whose `${{` stands at a place. Raises `Malformed`."""
    end = place + LONGEST_EXPRESSION
    match = WHOLE.match(text, place, end)
    if match is None:
        lexemes_of(text[place + 3 : end])  # which may know better what is wrong
        raise Malformed(
            "has no closing }}" if len(text) <= end else f"is longer than {LONGEST_EXPRESSION:,} characters"
        )
    expression = expression_of(match[1].strip())
    expression.check(status=False)
    return expression, match.end()


def show_from(text: str, place: int) -> str:
    """Return the expression at a place for a message; nothing of a variable, whose message shows it."""
    if not text.startswith("${{", place):
        return ""
    end = text.find("}}", place)
    return show_expression(text[place + 3 : end]) if end >= 0 else repr(cut_part(text[place:]))
