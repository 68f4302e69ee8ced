"""Read an expression into a tree, from the operators that bind least to those that bind most::

    a || b, a or b
    a && b, a and b
    not a
    a == b, != < <= > >= in, not in
    a + b, a - b
    a * b, a / b, a // b, a % b
    a | filter(b)
    !a, -a
    a.b, a[0], a['b'], f(a)

Operators of one kind in a row are one `Chain`: only brackets and signs before a value make the tree deeper, and those
are counted. So no expression exhausts the stack, here or when it is evaluated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from aiodag.workflows.expressions.lexemes import Lexeme, Malformed, cut_part, lexemes_of

T = TypeVar("T")
DEEPEST_EXPRESSION = 50
LEVELS = (
    frozenset({"||", "or"}),
    frozenset({"&&", "and"}),
    frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "not in"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "//", "%"}),
)
COMPARES = 2  # the level of comparisons; `not` stands right above it
LEVEL_OF = {sign: level for level, signs in enumerate(LEVELS) for sign in signs}


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is written down."""

    value: Any


@dataclass(frozen=True, slots=True)
class Listing:
    """A list: `['a', 'b']`."""

    items: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Lookup:
    """A path: `params.day`, `stages['a'].outputs[0]`; from a name, or from the value of another expression."""

    start: "str | Tree"
    keys: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call, or a filter: then what stands before `|` is the first argument."""

    name: str
    arguments: "tuple[Tree, ...]"
    is_filter: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """Operators of one level in a row."""

    first: "Tree"
    rest: "tuple[tuple[str, Tree], ...]"


@dataclass(frozen=True, slots=True)
class Prefix:
    """A sign before a value: `!`, `not` or `-`."""

    sign: str
    operand: "Tree"


Tree: TypeAlias = Constant | Listing | Lookup | FunctionCall | Chain | Prefix


def parse_expression(source: str) -> Tree:
    """Return the tree of an expression. Raises `Malformed`."""
    parser = ExpressionParser(lexemes_of(source))
    if parser.next.kind == "end":
        raise Malformed("is empty")
    tree = parser.expression()
    if parser.next.kind != "end":
        raise Malformed(f"an operator is missing before {describe_lexeme(parser.next)}")
    return tree


def describe_lexeme(lexeme: Lexeme) -> str:
    """Return a part of an expression for a message."""
    if lexeme.kind == "end":
        return "its end"
    return repr(cut_part(lexeme.value)) if isinstance(lexeme.value, str) else cut_part(str(lexeme.value))


class ExpressionParser:
    """Walks over the parts of one expression."""

    def __init__(self, lexemes: list[Lexeme]) -> None:
        self.lexemes = lexemes
        self.place = 0
        self.depth = 0

    @property
    def next(self) -> Lexeme:
        """The part that comes next; the end stays the next one."""
        return self.lexemes[self.place]

    def take(self, *signs: str) -> str:
        """Go past one of some signs, and return it; or stay, and return nothing."""
        if self.next.kind == "sign" and self.next.value in signs:
            self.place += 1
            return str(self.lexemes[self.place - 1].value)
        return ""

    def expect(self, sign: str) -> None:
        """Go past a sign that must come now."""
        if not self.take(sign):
            raise Malformed(f"{sign} is missing before {describe_lexeme(self.next)}")

    def operator(self) -> str:
        """Return the operator that comes next, without going past it."""
        if self.next.kind != "sign":
            return ""
        if self.next.value == "not" and self.lexemes[self.place + 1][:2] == ("sign", "in"):
            return "not in"
        return str(self.next.value)

    def expression(self, lowest: int = 0) -> Tree:
        """Read operands with the operators between them, down to a level."""
        tree = self.operand()
        while LEVEL_OF.get(self.operator(), -1) >= lowest:
            tree = self.chain(tree, LEVEL_OF[self.operator()])
        return tree

    def chain(self, first: Tree, level: int) -> Tree:
        """Read operators of one level in a row, with what stands between them."""
        rest: list[tuple[str, Tree]] = []
        while LEVEL_OF.get(sign := self.operator()) == level:
            if level == COMPARES and rest:
                raise Malformed(f"two comparisons in a row: write a {rest[0][0]} b && b {sign} c")
            self.place += 2 if sign == "not in" else 1
            rest.append((sign, self.expression(level + 1)))
        return Chain(first, tuple(rest))

    def operand(self) -> Tree:
        """Read a value with the filters after it, or `not` and what it turns round."""
        if self.take("not"):
            return self.nested(lambda: Prefix("not", self.expression(COMPARES)))
        tree, filters = self.signed(), 0
        while self.take("|"):
            tree, filters = self.filter_of(tree), filters + 1
            if filters > DEEPEST_EXPRESSION:
                raise Malformed(f"has more than {DEEPEST_EXPRESSION} filters after one value")
        return tree

    def filter_of(self, tree: Tree) -> Tree:
        """Read a filter: its name, and its arguments if it has any."""
        lexeme = self.next
        if lexeme.kind != "name":
            raise Malformed(f"the name of a filter is missing after |, before {describe_lexeme(lexeme)}")
        self.place += 1
        given = self.nested(lambda: self.items(")")) if self.take("(") else ()
        return FunctionCall(lexeme.value, (tree, *given), is_filter=True)

    def signed(self) -> Tree:
        """Read a value with the signs before it."""
        sign = self.take("!", "-")
        return self.nested(lambda: Prefix(sign, self.signed())) if sign else self.value()

    def value(self) -> Tree:
        """Read a value, with the keys after it."""
        lexeme = self.next
        if lexeme.kind == "value":
            self.place += 1
            return self.lookup(Constant(lexeme.value))
        if lexeme.kind == "name":
            self.place += 1
            if self.take("("):
                given = self.nested(lambda: self.items(")"))
                return self.lookup(FunctionCall(lexeme.value, given, is_filter=False))
            return self.lookup(lexeme.value)
        if self.take("["):
            return self.lookup(Listing(self.nested(lambda: self.items("]"))))
        if self.take("("):
            tree = self.nested(self.expression)
            self.expect(")")
            return self.lookup(tree)
        raise Malformed(f"a value is missing before {describe_lexeme(lexeme)}")

    def lookup(self, start: str | Tree) -> Tree:
        """Read the keys after a value."""
        keys: list[Tree] = []
        while sign := self.take(".", "["):
            if sign == "[":
                keys.append(self.nested(self.expression))
                self.expect("]")
            else:
                keys.append(self.key())
        return Lookup(start, tuple(keys)) if keys or isinstance(start, str) else start

    def key(self) -> Tree:
        """Read the name after a dot: words of the language are names there."""
        lexeme = self.next
        spelled = (
            {True: "true", False: "false", None: "null"}.get(lexeme.value, lexeme.value) if is_word(lexeme) else ""
        )
        if not spelled:
            raise Malformed(
                f"a name is missing after the dot, before {describe_lexeme(lexeme)}: others stand in ['...']"
            )
        self.place += 1
        return Constant(spelled)

    def items(self, closing: str) -> tuple[Tree, ...]:
        """Read what stands between brackets, with commas, and the closing one."""
        found: list[Tree] = []
        while not self.take(closing):
            if found:
                self.expect(",")
            found.append(self.expression())
        return tuple(found)

    def nested(self, read: Callable[[], T]) -> T:
        """Read something that makes the tree deeper."""
        if self.depth == DEEPEST_EXPRESSION:
            raise Malformed(f"is nested deeper than {DEEPEST_EXPRESSION} levels")
        self.depth += 1
        found = read()
        self.depth -= 1
        return found


def is_word(lexeme: Lexeme) -> bool:
    """Return True for a name, also for one that means something elsewhere."""
    if lexeme.kind == "sign":
        return lexeme.value in {"and", "or", "not", "in"}
    return lexeme.kind == "name" or (
        lexeme.kind == "value" and (lexeme.value is None or isinstance(lexeme.value, bool))
    )
