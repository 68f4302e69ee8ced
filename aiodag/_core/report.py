"""What leaving a run says of its failures."""

from typing import TYPE_CHECKING

from aiodag._core.failure import Failure, path_of, path_text

if TYPE_CHECKING:
    from aiodag._core.run import Run

SHOWN = 10  # skipped nodes that a report names for each root


def report_of(run: "Run", roots: list[Failure]) -> str:
    """Return what failed in a run, as people read it: each root with what was skipped because of it."""
    counts = run.graph().counts()
    total = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    barriers = run.ledger.barrier_names()
    lines = [f"run {run.name!r}: {total}"]
    for failure in roots:
        lines.append(f"  {failure}  (called at {failure.site})")
        began = failure.report.began
        if began is not None:  # what a body awaited and passed on began elsewhere
            lines.append(f"    first of all {began.text}  (called at {began.site})")
        hops = [hop for hop in failure.report.skipped if hop[0] not in barriers]
        lines += [f"    {path_text(hop, path_of(hop)[-1])}" for hop in hops[:SHOWN]]
        lines += [f"    … and {len(hops) - SHOWN:,} more skipped"] if len(hops) > SHOWN else []
    return "\n".join(lines)


def as_exception(error: BaseException) -> Exception:
    """Return what an ExceptionGroup can hold; a bare BaseException of a body is wrapped."""
    if isinstance(error, Exception):
        return error
    wrapped = RuntimeError(f"a body raised {error!r}, which is not an Exception")
    wrapped.__cause__ = error
    return wrapped
