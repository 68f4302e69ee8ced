"""What a server refuses because of who asks."""

from aiodag.errors.root import AiodagError


class NotAdmitted(AiodagError, PermissionError):
    """Raised when a request comes without a token that a server knows: none, a wrong one, or one that has expired.

    >>> from aiodag import NotAdmitted
    >>> raise NotAdmitted("this server wants a token: send `Authorization: Bearer TOKEN`")
    Traceback (most recent call last):
    aiodag.NotAdmitted: this server wants a token: send `Authorization: Bearer TOKEN`
    """


class NotAllowed(AiodagError, PermissionError):
    """Raised when a token is known, and its role does not let its holder do what was asked for.

    >>> from aiodag import NotAllowed
    >>> raise NotAllowed("token 'ci' may read; to cancel a run, one with the role operate is wanted")
    Traceback (most recent call last):
    aiodag.NotAllowed: token 'ci' may read; to cancel a run, one with the role operate is wanted
    """
