"""The former place of `aiodag.records`. It is removed in 1.5."""

from warnings import warn

from aiodag.records import NodeRecord, OutputRecord, RunRecord, left_out, output_text

__all__ = ["NodeRecord", "OutputRecord", "RunRecord", "left_out", "output_text"]

warn(
    "aiodag.stores.records is aiodag.records since 1.4.0; the former name works until 1.5",
    DeprecationWarning,
    stacklevel=2,
)
