"""The former place of `aiodag.codec`. It is removed in 1.5."""

from warnings import warn

from aiodag.codec import Codecs, register_codec

__all__ = ["Codecs", "register_codec"]

warn("aiodag.codecs is aiodag.codec since 1.4.0; the former name works until 1.5", DeprecationWarning, stacklevel=2)
