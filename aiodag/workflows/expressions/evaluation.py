"""Evaluate the tree of an expression: only what is written here happens, and nothing of it reaches an object of Python."""

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from aiodag.workflows.expressions.functions import STATUS, call_function
from aiodag.workflows.expressions.grammar import Chain, Constant, FunctionCall, Listing, Lookup, Prefix, Tree
from aiodag.workflows.expressions.values import (
    ORDERS,
    Missing,
    Unfit,
    Work,
    are_equal,
    bounded_number,
    bounded_text,
    hint_for,
    is_in,
    is_numeric,
    is_true,
    refuse_secrets,
    show_key,
    show_value,
    stand_in_order,
    value_at,
)

Names: TypeAlias = Mapping[str, Any]  # the roots of paths, such as `params`, and what they stand for
Read: TypeAlias = tuple[str, ...]  # a path that an expression reads, as far as it is written down: ("params", "day")


def evaluate(tree: Tree, scope: Names, work: Work) -> Any:
    """Return the value of an expression. Raises `Unfit`."""
    match tree:
        case Constant():
            return tree.value
        case Lookup():
            return look_up(tree, scope, work)
        case FunctionCall():
            return evaluate_call(tree, scope, work)
        case Chain():
            return evaluate_chain(tree, scope, work)
        case Prefix():
            value = evaluate(tree.operand, scope, work)
            return negative(value) if tree.sign == "-" else not is_true(value)
        case Listing():
            return [evaluate(item, scope, work) for item in tree.items]


def look_up(tree: Lookup, scope: Names, work: Work) -> Any:
    """Return what a path leads to."""
    if isinstance(tree.start, str):
        path, value = tree.start, root_of(tree.start, scope)
    else:
        path, value = "the value", evaluate(tree.start, scope, work)
    for each in tree.keys:
        key = evaluate(each, scope, work)
        value = value_at(value, key, path)
        path += f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{show_key(key).strip('[]')}]"
    return value


def root_of(name: str, scope: Names) -> Any:
    """Return what the first name of a path stands for."""
    if name in scope:
        return scope[name]
    raise Missing(f"there is nothing called {name!r}{hint_for(name, [each for each in scope if each != 'status'])}")


def evaluate_call(tree: FunctionCall, scope: Names, work: Work) -> Any:
    """Return what a function gives for its arguments. `default` alone takes a path that leads to nothing."""
    if tree.name in STATUS:
        if "status" not in scope:
            raise Unfit(f"{tree.name}() is for conditions: `if` of a job or a stage")
        return bool(getattr(scope["status"], tree.name))
    if tree.name == "default":
        try:
            value = evaluate(tree.arguments[0], scope, work)
        except Missing:
            value = None
        return evaluate(tree.arguments[1], scope, work) if value is None else value
    given = [evaluate(each, scope, work) for each in tree.arguments]
    refuse_secrets(*given)
    work.spend(*given)
    return call_function(tree.name, given)


def evaluate_chain(tree: Chain, scope: Names, work: Work) -> Any:
    """Return the value of operators in a row, from left to right: `&&` and `||` stop where the answer is known."""
    value = evaluate(tree.first, scope, work)
    for sign, operand in tree.rest:
        if sign in {"||", "or"}:
            value = value if is_true(value) else evaluate(operand, scope, work)
        elif sign in {"&&", "and"}:
            value = evaluate(operand, scope, work) if is_true(value) else value
        else:
            other = evaluate(operand, scope, work)
            work.spend(value, other)
            value = operate(value, sign, other)
    return value


def negative(value: Any) -> Any:
    """Return a number with the other sign."""
    refuse_secrets(value)
    if not is_numeric(value):
        raise Unfit(f"-{show_value(value)}: only a number has a sign")
    return -value


def add_values(one: Any, other: Any) -> Any:
    """Return the sum of two numbers, or two texts as one."""
    refuse_secrets(one, other)
    if isinstance(one, str) and isinstance(other, str):
        return bounded_text(one + other)
    if {type(one), type(other)} & {str} and (is_numeric(one) or is_numeric(other)):
        raise Unfit(f"{show_value(one)} + {show_value(other)}: one of them has to be converted, with | str or | int")
    return calculate(one, "+", other)


def calculate(one: Any, sign: str, other: Any) -> Any:
    """Return what arithmetic gives for two numbers. Raises `Unfit` for anything else, and if the result is too large."""
    refuse_secrets(one, other)
    if not is_numeric(one) or not is_numeric(other):
        raise Unfit(f"{show_value(one)} {sign} {show_value(other)}: that takes two numbers")
    bounded_number(one)
    bounded_number(other)
    try:
        return bounded_number(ARITHMETIC[sign](one, other))
    except ZeroDivisionError:
        raise Unfit(f"{show_value(one)} {sign} 0: nothing can be divided by 0") from None
    except OverflowError:
        raise Unfit("gives a number that is too large") from None


def operate(one: Any, sign: str, other: Any) -> Any:
    """Return what an operator gives for two values."""
    if sign in OPERATORS:
        return OPERATORS[sign](one, other)
    return stand_in_order(one, sign, other) if sign in ORDERS else calculate(one, sign, other)


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": are_equal,
    "!=": lambda one, other: not are_equal(one, other),
    "in": is_in,
    "not in": lambda one, other: not is_in(one, other),
    "+": add_values,
}
ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


# Before anything is evaluated


def parts_of_tree(tree: Tree) -> Iterator[Tree]:
    """Yield a tree and all that is in it."""
    left = [tree]
    while left:
        each = left.pop()
        yield each
        match each:
            case Lookup():
                left += each.keys if isinstance(each.start, str) else (each.start, *each.keys)
            case FunctionCall():
                left += each.arguments
            case Chain():
                left += (each.first, *(operand for _, operand in each.rest))
            case Prefix():
                left.append(each.operand)
            case Listing():
                left += each.items
            case Constant():
                pass


def path_read(tree: Lookup) -> Read:
    """Return the path that a lookup reads, as far as its keys are written down; nothing where it does not begin with a name."""
    if not isinstance(tree.start, str):
        return ()
    path = [tree.start]
    for key in tree.keys:
        if not isinstance(key, Constant) or not isinstance(key.value, str):
            break
        path.append(key.value)
    return tuple(path)
