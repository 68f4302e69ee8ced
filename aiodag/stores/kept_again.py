"""Runs in memory that are queued again: what they are then, and what they go on with."""

import json
import time

from aiodag.errors import UnknownRun
from aiodag.happenings import Happening
from aiodag.records import refuse_owned
from aiodag.stores.kept import KeptPlace, KeptRun
from aiodag.stores.kept_groups import enter_group
from aiodag.stores.kept_queue import KeptQueue
from aiodag.stores.queue_rules import queue_again_in, refuse_draining, refuse_other_execution, refuse_queued
from aiodag.submissions import Resubmission, Submission


class KeptAgain(KeptQueue):
    """What has ended in a store in memory, is parked or was left, and is to be continued by a worker."""

    def resubmit(self, again: Resubmission) -> None:
        """Queue a recorded run again, with what it is to go on with."""
        with self._changing(Happening.QUEUED, Happening.ENDED):
            now, kept = time.time(), self.kept.get(again.id)
            if kept is None:
                raise UnknownRun(again.id, [], str(self))
            refuse_owned(again.id, kept.owner, kept.leased_until, now)
            before = None if kept.queued is None else kept.queued.submission.queue
            refuse_queued(again.id, kept.state, before)
            refuse_other_execution(again, kept.execution)
            queue = queue_again_in(again, before)
            if self._queue(queue).state == "draining":
                raise refuse_draining(queue, self)
            ended = kept.ended_at is not None
            continue_kept(kept, again, queue)
            if ended:
                enter_group(self.kept.values(), kept, now)
            self._fail_refused([(queue, again.target)], now)


def continue_kept(kept: KeptRun, again: Resubmission, queue: str) -> None:
    """Queue a run that nobody has, with what it is to go on with; also one that was never submitted."""
    entry = kept.claim.entry if again.entry is None else json.loads(json.dumps(again.entry))
    kept.claim = kept.claim._replace(entry=entry, tags=again.tags or kept.claim.tags)
    kept.define(kept.execution + 1, again.definition)
    for number in again.again:
        kept.nodes[number]["void"] = True
    submission = Submission(kept.claim.id, kept.claim.name, None, again.target, kept.created_at)
    place = kept.queued or KeptPlace(submission, None, None, 0)
    code = again.code or place.submission.code
    place.submission = place.submission._replace(target=again.target, queue=queue, code=code)
    kept.queue_again(place)
