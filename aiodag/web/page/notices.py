"""What a page says at its top after a form was posted: fixed lines, since an address can be written by anybody."""

from typing import NamedTuple


class Notice(NamedTuple):
    """A line about what was done; `wrong` if it was not."""

    text: str
    wrong: bool = False


NOTICES = {
    "cancelled": Notice("The run is asked to stop. Its nodes end within moments; what they clean up may take longer."),
    "resumed": Notice("The run is queued again. What succeeded is recalled; the rest runs."),
    "deleted": Notice("The run and all that was remembered of it are deleted."),
    "submitted": Notice("The run is queued. A worker of its queue takes it."),
    "schedule-paused": Notice(
        "The schedule is paused: it makes no runs, and what passes meanwhile is never caught up."
    ),
    "schedule-resumed": Notice("The schedule goes on with its next moment."),
    "backfill-put": Notice("The backfill is there. A worker makes its runs, in its own time."),
    "backfill-ended": Notice("The backfill makes no more runs. Those that it has made go on."),
    "queue-put": Notice("The queue is there."),
    "queue-paused": Notice("The queue is paused: no worker takes runs from it. What was taken goes on."),
    "queue-resumed": Notice("The queue takes and gives runs again."),
    "queue-draining": Notice("The queue takes no more runs. What waits is worked off."),
    "message-taken": Notice("The message was taken by a run that waited for it."),
    "message-started": Notice("The message has begun a run."),
    "message-kept": Notice("The message is kept: nobody waits for it yet."),
    "message-duplicate": Notice("A message of this id came before: it is counted, and delivered to nobody."),
    "message-dead": Notice("The message is a dead letter.", wrong=True),
    "token-revoked": Notice("The token is revoked. Whoever has it is let in no more, and its sessions have ended."),
}
