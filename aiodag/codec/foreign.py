"""Values of other packages, recorded without importing any: one file for each, loaded when such a value turns up."""

import sys
from typing import Any

PACKAGES = ("numpy", "pydantic", "msgspec")


def package_of(kind: type) -> Any:
    """Return the file for the package that a class, or a base of it, is from; None if there is none."""
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        if package in PACKAGES and package in sys.modules:
            return loaded(package)
    return None


def loaded(package: str) -> Any:
    """Return the file for a package."""
    # Here, for each imports a package that need not be installed.
    if package == "numpy":
        from aiodag.codec import numpy as file  # noqa: PLC0415 - see above
    elif package == "pydantic":
        from aiodag.codec import pydantic as file  # type: ignore[no-redef]  # noqa: PLC0415 - see above
    else:
        from aiodag.codec import msgspec as file  # type: ignore[no-redef]  # noqa: PLC0415 - see above
    return file
