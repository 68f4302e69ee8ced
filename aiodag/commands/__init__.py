"""Programs as tasks: `command("sync", "--fast")`, `shell("a | b")`."""

from aiodag.commands.finished import CommandFailed as CommandFailed
from aiodag.commands.finished import CommandLost as CommandLost
from aiodag.commands.finished import Finished as Finished
from aiodag.commands.task import command as command
from aiodag.commands.task import shell as shell
from aiodag.faces import publish as _publish

_publish(__name__, globals())
