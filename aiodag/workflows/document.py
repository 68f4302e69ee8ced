"""The former place of `document_of`. It is removed in 1.5."""

from warnings import warn

from aiodag.workflows import document_of

__all__ = ["document_of"]

warn(
    "aiodag.workflows.document is aiodag.workflows since 1.4.0; the former name works until 1.5",
    DeprecationWarning,
    stacklevel=2,
)
