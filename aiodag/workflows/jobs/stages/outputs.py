"""What comes out of a stage, for the stages and jobs after it."""

import json
from collections.abc import Mapping
from typing import Any

from aiodag.masking import TABLE, masked

DEEPEST = 100  # levels of lists and mappings in which secrets are looked for


def outputs_of(value: object) -> dict[str, Any]:
    """Return what a function of a stage has returned as outputs: a mapping of names as it is, anything else as `result`.

    >>> outputs_of({"rows": 3}), outputs_of(3), outputs_of(None)
    ({'rows': 3}, {'result': 3}, {})
    """
    if value is None:
        return {}
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return outputs_without_secrets(dict(value))
    return outputs_without_secrets({"result": value})


def outputs_without_secrets(outputs: dict[str, Any]) -> dict[str, Any]:
    """Return outputs with `***` in the place of each secret that has been read."""
    return outputs if TABLE.masks is None else mask_texts(outputs, 0)


def mask_texts(value: Any, depth: int) -> Any:
    """Return a plain value with its texts masked; what is not plain stays, and no store takes it with a secret in it."""
    kind = type(value)
    if kind is str:
        return masked(value)
    if depth == DEEPEST:
        return value
    if kind is dict:
        return {mask_texts(name, depth + 1): mask_texts(each, depth + 1) for name, each in value.items()}
    if kind is list or kind is tuple:
        return kind(mask_texts(each, depth + 1) for each in value)
    return value


def read_answer(content: bytes) -> dict[str, Any] | None:
    """Return what a program of ours has answered; None if that is not an answer.

    >>> read_answer(b'{"names": {"rows": 3}}'), read_answer(b"7"), read_answer(b"")
    ({'names': {'rows': 3}}, None, None)
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_assignments(text: str) -> tuple[dict[str, str], list[str]]:
    r"""Return the outputs that a script has written, one `name=value` on a line, and the lines that are not.

    A value of several lines stands between `name<<END` and a line `END`, as on GitHub.

    >>> read_assignments("rows=3\ntext<<END\na\nb\nEND\n")
    ({'rows': '3', 'text': 'a\nb'}, [])
    """
    found: dict[str, str] = {}
    wrong: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        name, equals, value = line.partition("=")
        begin, opened, end = line.partition("<<")
        if opened and (not equals or len(begin) < len(name)):
            block: list[str] = []
            for each in lines:
                if each == end:
                    found[begin] = "\n".join(block)
                    break
                block.append(each)
            else:
                wrong.append(f"{line}, which no line {end!r} ends")
        elif equals and name:
            found[name] = value
        elif line.strip():
            wrong.append(line)
    return found, wrong
