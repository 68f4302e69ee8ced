"""When runs start: cron expressions, intervals and moments."""

from aiodag.faces import publish as _publish
from aiodag.schedules.cron import Cron as Cron
from aiodag.schedules.forms import trigger_of as trigger_of
from aiodag.schedules.intervals import Every as Every
from aiodag.schedules.moments import Moments as Moments
from aiodag.schedules.moments import Once as Once

_publish(__name__, globals())
