"""How texts of others are shown: names, labels and errors, wherever they are printed or drawn."""


def printable(text: str) -> str:
    r"""Return a text in one line that does nothing to a terminal: what cannot be seen is shown by its escape.

    Line ends, lone surrogates and marks that turn the direction of writing cannot be seen either.

    >>> printable("pull\nrun one succeeded\x1b[2J")
    'pull\\nrun one succeeded\\x1b[2J'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
