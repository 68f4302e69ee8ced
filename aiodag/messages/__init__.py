"""Waiting for the world: messages, timers, and what runs send."""

from aiodag.faces import publish as _publish
from aiodag.messages.generations import begin_again as begin_again
from aiodag.messages.recorded_values import now as now
from aiodag.messages.recorded_values import random as random
from aiodag.messages.recorded_values import uuid as uuid

_publish(__name__, globals())
