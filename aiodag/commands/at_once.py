"""How many programs run at once, where a command has no limit of its own: as many as its host can take."""

from typing import TYPE_CHECKING, Any

from aiodag._core.limits import Limit
from aiodag._core.named import host_for
from aiodag.commands.descriptors import descriptors_allowed, programs_at_once

if TYPE_CHECKING:
    from aiodag._core.node import Node

MOST = 64


class HostLimit(Limit):
    """Programs of one loop: on this machine and hosts that say nothing together, and on others as many as each says."""

    __slots__ = ()

    def of_node(self, node: "Node[Any]") -> Limit | None:
        """Return the limit for the host of a command, None where that bounds programs by itself."""
        host = host_for(node.task.fn, node.run)
        limit: Limit | None = getattr(host, "at_once", self)
        return limit


# Of commands without a limit of their own: their attempts have not begun while they wait for that.
AT_ONCE = HostLimit(programs_at_once(descriptors_allowed(), MOST))
