"""The former place of `load` and `loads`. It is removed in 1.5."""

import sys
from types import ModuleType
from typing import Any
from warnings import warn

from aiodag.workflows import Workflow
from aiodag.workflows.files.load import load, loads

__all__ = ["load", "loads"]


class Callable(ModuleType):
    """Importing this module puts it in the place of the function `aiodag.workflows.load`: so it is called as that is."""

    def __call__(self, *args: Any, **kwargs: Any) -> Workflow:
        """Return the workflow in a file."""
        return load(*args, **kwargs)


sys.modules[__name__].__class__ = Callable
warn(
    "aiodag.workflows.load is aiodag.workflows since 1.4.0; the former name works until 1.5",
    DeprecationWarning,
    stacklevel=2,
)
