"""Waiting for the world: messages, timers, and what runs send."""

from aiodag.faces import publish as _publish
from aiodag.messages.children import begin as begin
from aiodag.messages.generations import begin_again as begin_again
from aiodag.messages.group import First as First
from aiodag.messages.group import first_of as first_of
from aiodag.messages.monitoring import overdue as overdue
from aiodag.messages.recorded_values import now as now
from aiodag.messages.recorded_values import random as random
from aiodag.messages.recorded_values import uuid as uuid
from aiodag.messages.sending import send as send
from aiodag.messages.topics import Topic as Topic
from aiodag.messages.transports import register_transport as register_transport
from aiodag.messages.waits import message as message
from aiodag.messages.waits import sleep as sleep
from aiodag.messages.waits import sleep_until as sleep_until

_publish(__name__, globals())
