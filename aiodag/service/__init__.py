"""What people can ask of a store: its runs, their graphs and values; begin, resume, cancel and delete them."""

from aiodag.faces import publish as _publish
from aiodag.service.changes import Change as Change
from aiodag.service.copying import Copied as Copied
from aiodag.service.entry import Again as Again
from aiodag.service.entry import Entry as Entry
from aiodag.service.follow import Follower as Follower
from aiodag.service.resumption import Resumption as Resumption
from aiodag.service.service import Service as Service

_publish(__name__, globals())
