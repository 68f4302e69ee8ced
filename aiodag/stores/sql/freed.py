"""Begin what has waited for a run to end: of its schedule, or of its group."""

from aiodag.stores.sql.firings import submit_waiting
from aiodag.stores.sql.groups import let_held_begin
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.statements import cut_rows


def submit_freed(session: Session, now: float) -> None:
    """Begin what may begin, of schedules and groups of which a run has ended since the last look."""
    rows = session.perform("freed_there").fetchall()
    names = {kind: [name for _, of, name in rows if of == kind] for kind in ("schedule", "group")}
    if names["schedule"]:
        submit_waiting(session, names["schedule"], now)
    let_held_begin(session, names["group"])
    for some in cut_rows([number for number, *_ in rows]):
        session.put_for("drop_freed", some)
