"""Where runs are remembered."""

from aiodag.faces import publish as _publish
from aiodag.stores.memory import Memory as Memory
from aiodag.stores.places import usual_place as usual_place
from aiodag.stores.sql.sqlite import SQLite as SQLite

_publish(__name__, globals())
