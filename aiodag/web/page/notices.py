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
}
