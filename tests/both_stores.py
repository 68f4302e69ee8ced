"""A store in memory and one in SQL that are told the same: the first is the model of the second."""

import time

import pytest
from hypothesis.stateful import RuleBasedStateMachine

from aiodag.errors import StoreError
from aiodag.records import Claimed
from aiodag.stores import Memory, SQLite


def answer_alike(stores, ask):
    """Ask stores; return what they answer alike."""
    answers = []
    for store in stores:
        try:
            answers.append(ask(store))
        except StoreError as error:
            answers.append(type(error).__name__)
    assert answers[0] == answers[1], answers
    return answers[0]


class BothStores(RuleBasedStateMachine):
    """Two stores that answer alike, on a clock that stands still until it is put forward."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.now = 1_801_000_000.0
        self.patch.setattr(time, "time", lambda: self.now)
        path = self.directory / f"{id(self)}-{time.monotonic_ns()}.db"
        self.stores = [Memory(), SQLite(path, synchronous="NORMAL")]
        self.owned = {}  # executions by the ids of runs that somebody has

    def teardown(self):
        for store in self.stores:
            store.close()
        self.patch.undo()

    def both(self, ask):
        return answer_alike(self.stores, ask)

    def claimed(self, store, run_id):
        if isinstance(store, Memory):
            kept = store.kept.get(run_id)
            return Claimed(0 if kept is None else kept.number, self.owned[run_id], {})
        with store.reading() as session:
            found = session.execute("select run from runs where id = ?", (run_id,)).fetchone()
        return Claimed(0 if found is None else found[0], self.owned[run_id], {})
