"""The Python of a `run` stage: each `${{ }}` in it is a name that the parser sees, and a value stands behind that name.

    total = ${{ params.n }} + 1           total = _aiodag_value_1_ + 1           a variable: the value with its type
    print("for ${{ params.who }}")        print("for _aiodag_value_2_")          in a constant: the text of the value

The second is what is parsed. The process of the stage puts texts into constants of the tree, so no value is ever parsed.
"""

import ast
import warnings
from collections.abc import Iterator, Sequence

from aiodag.workflows.jobs.stages.placeholders import PREFIX, RESERVED, has_reserved_name, source_with_names

NAMED = "<stage>"  # the file in messages and tracebacks


def source_faults(texts: Sequence[str]) -> list[str]:
    r"""Return what is wrong with a source, given as the texts around its expressions: nothing runs.

    >>> source_faults(["x = ", "\ny = (\n"])
    ["line 2: '(' was never closed"]
    >>> source_faults(["x.", " = 1"])
    ['line 1: ${{ }} stands where Python takes a name and no value. Bind the value to a variable, and use that']
    """
    if has_reserved_name(texts):
        return [RESERVED]
    try:
        with warnings.catch_warnings():  # of what is odd in the source, its process warns
            warnings.simplefilter("ignore")
            tree = ast.parse(source_with_names(texts), NAMED)
            compile(tree, NAMED, "exec", dont_inherit=True)  # it sees what the parser does not, such as a `return`
    except SyntaxError as error:
        return [f"line {error.lineno}: {shown_message(error.msg)}"]
    except (ValueError, RecursionError, MemoryError) as error:
        return [f"cannot be read as Python: {str(error) or type(error).__name__}"]
    return misplaced_values(tree) if len(texts) > 1 else []


def shown_message(text: str) -> str:
    """Return a message of the parser, in which a value is written as people write it."""
    before, found, after = text.partition(PREFIX)
    return f"{before}${{{{ }}}}{after.partition('_')[2]}" if found else text


def misplaced_values(tree: ast.AST) -> list[str]:
    """Return where a value stands in the place of something that has to be a name."""
    lines = dict.fromkeys(
        line for node, line in nodes_with_lines(tree) if not is_value(node) and any(map(holds_value, own_texts(node)))
    )
    advice = "${{ }} stands where Python takes a name and no value. Bind the value to a variable, and use that"
    return [f"line {line}: {advice}" for line in lines]


def nodes_with_lines(tree: ast.AST) -> Iterator[tuple[ast.AST, int]]:
    """Yield all nodes of a tree, each with its line, or with that of what it is in."""
    left = [(tree, 1)]
    while left:
        node, line = left.pop()
        line = getattr(node, "lineno", line)
        yield node, line
        left.extend((child, line) for child in reversed(list(ast.iter_child_nodes(node))))


def is_value(node: ast.AST) -> bool:
    """Return True for a constant, in which a value is text, and for a value that stands alone and is read."""
    if isinstance(node, ast.Name):
        whole = node.id.startswith(PREFIX) and node.id.endswith("_") and node.id.count("_") == PREFIX.count("_") + 1
        return whole and isinstance(node.ctx, ast.Load)
    return isinstance(node, ast.Constant)


def own_texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts that a node has itself: names, and no constants."""
    for field, value in ast.iter_fields(node):
        if field == "str":  # of an interpolation: how it was written
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                yield each


def holds_value(text: str) -> bool:
    """Return True if the name of a value is in a text."""
    return PREFIX in text
