"""What people can ask of a store: its runs, their graphs and values; begin, resume, cancel and delete them."""

from aiodag.faces import publish as _publish
from aiodag.service.entry import Entry as Entry
from aiodag.service.follow import Follower as Follower
from aiodag.service.registry import Change as Change
from aiodag.service.service import Service as Service
from aiodag.service.starting import Resumption as Resumption
from aiodag.service.targets import Again as Again

_publish(__name__, globals())
