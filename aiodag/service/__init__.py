"""What people can ask of a store: its runs, their graphs and values; begin, resume, cancel and delete them."""

from aiodag.faces import publish as _publish
from aiodag.service.service import Service as Service

_publish(__name__, globals())
