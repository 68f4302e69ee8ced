"""Values of other packages, recorded without importing any: one file for each, loaded when such a value turns up."""

import sys

from aiodag.codec.packages import ForeignPackage

PACKAGES = ("numpy", "pydantic", "msgspec")


def package_of(kind: type) -> ForeignPackage | None:
    """Return how values of the package are recorded that a class, or a base of it, is from; None if there is none."""
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        if package in PACKAGES and package in sys.modules:
            return load_package(package)
    return None


def load_package(package: str) -> ForeignPackage:
    """Return how values of a package are recorded."""
    # Here, for each file imports a package that need not be installed.
    if package == "numpy":
        from aiodag.codec.numpy import NUMPY  # noqa: PLC0415 - see above

        return NUMPY
    if package == "pydantic":
        from aiodag.codec.pydantic import PYDANTIC  # noqa: PLC0415 - see above

        return PYDANTIC
    from aiodag.codec.msgspec import MSGSPEC  # noqa: PLC0415 - see above

    return MSGSPEC
