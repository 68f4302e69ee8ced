"""Workers and queues in a store in SQL: who is there, what waits, and when something becomes due."""

import json
from collections.abc import Sequence
from dataclasses import replace

from aiodag.records import Owner, utc_moment
from aiodag.stores.queue_rules import may_take
from aiodag.stores.sql.database import Database
from aiodag.stores.sql.hand_on import drop_worker, fail_refused, queues_of_worker
from aiodag.stores.sql.rows import EPOCH, owner_of, owner_text
from aiodag.submissions import QueueRecord, WorkerRecord


class EnrolledWorkers(Database):
    """The workers of a database, and its queues."""

    def enrol(self, owner: Owner, queues: Sequence[str], limit: int, *, at: float, lease: float) -> None:
        """Note a worker, and that its process is there for `lease` seconds."""
        with self.writing() as session:
            row = (owner_text(owner), json.dumps(list(queues)), limit, at, lease)
            session.perform("put_worker", row)
            session.perform("put_lease", {"owner": owner_text(owner), "until": session.now() + lease})

    def dismiss(self, owner: Owner, *, ending: bool = False) -> None:
        """Forget a worker; or, if it is `ending`, note that it takes no more."""
        with self.writing(owner=True) as session:
            if ending:
                session.perform("end_worker", (owner_text(owner),))
            else:
                drop_worker(session, owner_text(owner))
            fail_refused(session, session.now())

    def workers(self) -> list[WorkerRecord]:
        """Return the workers that are alive."""
        with self.reading() as session:
            now = session.now()
            return [
                WorkerRecord(
                    owner=owner_of(owner),
                    queues=queues_of_worker(queues),
                    limit=most,
                    state=state,
                    started_at=utc_moment(started) or EPOCH,
                    seen_at=utc_moment(renewed - lease) or EPOCH,
                    runs=[run_id for (run_id,) in session.perform("ids_of_owner", (owner,))],
                )
                for owner, queues, most, state, started, lease, renewed, until in session.perform(
                    "workers_there"
                ).fetchall()
                if may_take(owner_of(owner), until, now)
            ]

    def queues(self) -> list[QueueRecord]:
        """Return the queues that were named, or have runs that wait or go on."""
        with self.reading() as session:
            found = {name: QueueRecord(name, *row) for name, *row in session.perform("queues_listed")}
            waiting = dict(session.perform("waiting_in_queues").fetchall())
            running = dict(session.perform("running_in_queues").fetchall())
        return [
            replace(found.get(name, QueueRecord(name)), waiting=waiting.get(name, 0), running=running.get(name, 0))
            for name in sorted({*found, *waiting, *running}, key=str)
        ]

    def put_queue(
        self, name: str, *, state: str | None = None, rate: int | None = None, per: float | None = None
    ) -> None:
        """Make a queue, or change what is given of it; a rate of 0 takes the rate away."""
        with self.writing() as session:
            session.perform("put_queue", {"name": name, "state": state, "rate": rate, "per": per})

    def due_in(self) -> float | None:
        """Return in how many seconds the next thing becomes due, by the store's clock; or None."""
        with self.reading() as session:
            now, (timers, turns) = session.perform_together(("next_timer", ()), ("turns_to_come", ()))
        # Somebody may have written anything into a row by hand. A turn that has come already is taken, or waits for a worker.
        numbers = [[at for (at,) in rows if isinstance(at, int | float)] for rows in (timers, turns)]
        return min((at - now for at in (*numbers[0], *(at for at in numbers[1] if at > now))), default=None)
