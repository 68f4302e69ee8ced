"""Begin the next generation of a run in an SQL database: what the last one has called is forgotten."""

from collections.abc import Iterable, Sequence

from aiodag.records import Generation, Write
from aiodag.stores.generations import nodes_below, text_of_generation
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.statements import cut_rows
from aiodag.stores.sql.waits import end_unwaited

FORGETTING = ("forget_attempts", "forget_facts", "forget_output", "forget_logs")


def begin_generations(session: Session, writes: Iterable[Write]) -> None:
    """Note which bodies begin again, and forget what these have called, with all that belongs to it."""
    for write in writes:
        generation = write.batch.generation
        if generation is not None:
            forget_nodes(session, write.claimed.run, generation)
            session.put_each(
                "begin_generation", [(generation.number, text_of_generation(generation), write.claimed.run)]
            )


def forget_nodes(session: Session, run: int, generation: Generation) -> None:
    """Forget the nodes that a body has called; of its own, what is not in its row."""
    below = nodes_below(generation.node, session.perform("enclosed_nodes", (run,)).fetchall())
    for some in cut_rows([generation.node, *below]):
        for statement in FORGETTING:
            session.perform_for(statement, some, (run,))
    end_unwaited(session, run, below, session.now())
    for some in cut_rows(below):
        session.perform_for("forget_edges", some, (run,))
        session.perform_for("forget_nodes", some, (run,))


def read_turn(session: Session, run: int) -> "tuple[int, str | None]":
    """Return which generation of a run is the last one, and what it began with."""
    row: Sequence[object] = session.perform("turn_of_run", (run,)).fetchone()
    return checked_turn(*row)


def checked_turn(number: object, turn: object) -> "tuple[int, str | None]":
    """Return a generation as it was written; the first one where somebody has written something else by hand."""
    return (number, turn) if type(number) is int and type(turn) is str else (0, None)
