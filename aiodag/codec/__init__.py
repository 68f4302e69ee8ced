"""How values are recorded: types of your own, for all tasks or for some."""

from aiodag.codec.codecs import Codecs as Codecs
from aiodag.codec.codecs import register_codec as register_codec
from aiodag.faces import publish as _publish

_publish(__name__, globals())
