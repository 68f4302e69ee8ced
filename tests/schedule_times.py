"""A clock for stores with schedules: it stands still until a test moves it."""

import time
from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday


class StoreClock:
    """The clock that decides what has come, in this process and on servers."""

    def __init__(self, patch):
        from aiodag.stores.sql.postgres import ServerSession

        self.now = NOW
        together = ServerSession.perform_together
        patch.setattr(time, "time", lambda: self.now.timestamp())
        patch.setattr(ServerSession, "now", lambda _: self.now.timestamp())
        patch.setattr(
            ServerSession,
            "perform_together",
            lambda session, *asked: (self.now.timestamp(), together(session, *asked)[1]),
        )

    def advance(self, seconds):
        self.now += timedelta(seconds=seconds)

    def set(self, hour, minute=0, second=0):
        self.now = NOW.replace(hour=hour, minute=minute, second=second)


def hour(number, minute=0):
    return NOW.replace(hour=number, minute=minute)
