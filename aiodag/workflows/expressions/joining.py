"""Texts with secrets in them: secrets themselves, read when an attempt starts."""

from collections.abc import Sequence
from hashlib import blake2b

from aiodag.secret import Secret
from aiodag.workflows.expressions.values import LARGEST_RESULT, Unfit, text_of_value


def join_pieces(pieces: Sequence[object]) -> str | Secret:
    """Return values as one text; as a secret if there is one among them. Raises `Unfit`.

    Its name, which is what keys and records have, says which secrets are in it, and has a digest of the rest: two texts with
    one secret are two.
    """
    parts = [each if isinstance(each, Secret) else text_of_value(each) for each in pieces]
    secrets = [each for each in parts if isinstance(each, Secret)]
    length = sum(len(each) for each in parts if isinstance(each, str))
    if length > LARGEST_RESULT:
        raise Unfit(f"gives a text of {length:,} characters: {LARGEST_RESULT:,} are the most")
    if not secrets:
        return "".join(map(str, parts))
    rest = "\0".join(f"\0{each.known_as}" if isinstance(each, Secret) else each for each in parts)
    digest = blake2b(rest.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    names = " and ".join(dict.fromkeys(each.name for each in secrets))
    return Secret(f"{names} in the text {digest}", get=JoinedText(parts))


class JoinedText:
    """Reads a text with secrets in it: each is masked by itself, so that the rest can be read in logs and errors."""

    __slots__ = ("parts",)
    masks_parts = True

    def __init__(self, parts: Sequence[str | Secret]) -> None:
        self.parts = parts

    def __call__(self) -> str:
        """Return the text as it is now."""
        return "".join(each.read() if isinstance(each, Secret) else each for each in self.parts)
