"""The page of all runs: newest first, filtered, live."""

from typing import Any, NamedTuple
from urllib.parse import urlencode

from aiodag.errors import OptionError
from aiodag.records import RunRecord
from aiodag.service.phrases import parked_counts, run_state
from aiodag.service.recorded import error_text
from aiodag.states import RUN_MOVES, State
from aiodag.web.access import Reader
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, RedirectResponse, Request, Response
from aiodag.web.page.rendering import render, root_path
from aiodag.wording import read_duration

runs_pages = APIRouter()

PAGE_OF_RUNS = 50
RUN_STATES = tuple(state for state in RUN_MOVES if state not in {State.WAITING, State.SKIPPED})
SINCE = (("", "any time"), ("1h", "last hour"), ("1d", "last day"), ("7d", "last week"), ("30d", "last 30 days"))
REASON_LONGEST = 300  # characters


class RunsQuery(NamedTuple):
    """What the list of runs is asked for; each text as it is in the address."""

    state: str = ""
    text: str = ""
    name: str = ""
    tag: str = ""
    since: str = ""
    queue: str = ""
    schedule: str = ""
    parent: str = ""
    before: str = ""

    def address(self, **changed: str) -> str:
        """Return the query of this list with something changed, as it is in an address."""
        asked = {name: value for name, value in self._replace(**changed)._asdict().items() if value}
        return f"?{urlencode(asked)}" if asked else "?"

    @property
    def narrowed(self) -> bool:
        """Whether it leaves runs out."""
        return any(self._replace(before=""))

    def conditions(self) -> dict[str, Any]:
        """Return it as `Service.runs` takes it. Raises `OptionError`."""
        key, colon, value = self.tag.partition(":" if ":" in self.tag else "=")
        return {
            "state": self.state or None,
            "text": self.text or None,
            "name": self.name or None,
            "tags": {key: value} if colon else None,
            "since": seconds_asked(self.since),
            "queue": self.queue or None,
            "schedule": self.schedule or None,
            "parent": self.parent or None,
            "before": self.before or None,
        }


class ListedRun(NamedTuple):
    """A run with the words that its row has."""

    run: RunRecord
    state: str
    counts: dict[State, int]
    reason: str


def seconds_asked(text: str) -> float | None:
    """Return the seconds of a filter. Raises `OptionError`."""
    if not text:
        return None
    found = read_duration(text)
    if found is None:
        raise OptionError("since", text, "a duration such as 90m, 24h or 7d")
    return found


def run_query(request: Request) -> RunsQuery:
    """Return what an address asks the list for."""
    asked = request.query_params
    return RunsQuery(**{name: asked.get(name, "").strip() for name in RunsQuery._fields})


def listed_run(run: RunRecord) -> ListedRun:
    """Return a run with the words of its row."""
    return ListedRun(run, run_state(run), dict(parked_counts(run)), short_reason(run))


def short_reason(run: RunRecord) -> str:
    """Return in a line why a run failed: the first node that failed, where nodes did."""
    if run.state is not State.FAILED or not run.error:
        return ""
    lines = [line.strip() for line in error_text(run.error).split("\n") if line.strip()]
    line = lines[1] if len(lines) > 1 and lines[0].startswith(("RunFailed", "ExceptionGroup")) else lines[0]
    return line.partition("  (called at ")[0][:REASON_LONGEST]


def runs_page(request: Request, desk: Desk) -> Response:
    """Write the list of runs."""
    query = run_query(request)
    # One more than is shown: whether there are older ones.
    found = desk.service.runs(limit=PAGE_OF_RUNS + 1, **query.conditions())[::-1]
    shown = [listed_run(run) for run in found[:PAGE_OF_RUNS]]
    older = query.address(before=shown[-1].run.id) if len(found) > PAGE_OF_RUNS else ""
    return render(
        request,
        "runs.html",
        title="Runs",
        section="runs",
        query=query,
        runs=shown,
        states=RUN_STATES,
        since=SINCE,
        older=older,
        newest=query.address(before="") if query.before else "",
    )


@runs_pages.get("/")
async def show_start(request: Request, _: Reader) -> Response:
    """Lead to the list of runs."""
    return RedirectResponse(f"{root_path(request)}/runs")


@runs_pages.get("/runs")
async def show_runs(request: Request, desk: AtDesk, _: Reader) -> Response:
    """Show the runs."""
    return await desk.ask(runs_page, request, desk)
