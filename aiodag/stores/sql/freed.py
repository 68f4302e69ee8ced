"""Begin what has waited for a run to end: of its schedule, or of its group."""

from aiodag.stores.sql.firings import submit_waiting
from aiodag.stores.sql.groups import let_held_begin
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.statements import cut_rows


def submit_freed(session: Session, now: float) -> None:
    """Begin what may begin, of schedules and groups of which a run has ended since the last look."""
    rows = session.perform("freed_there").fetchall()
    # Somebody may have written anything there by hand.
    sound = [(kind, name) for _, kind, name in rows if isinstance(name, str)]
    schedules = {name for kind, name in sound if kind == "schedule"}
    if schedules:
        submit_waiting(session, schedules, now)
    let_held_begin(session, {name for kind, name in sound if kind == "group"})
    for some in cut_rows([number for number, *_ in rows]):
        session.put_for("drop_freed", some)
