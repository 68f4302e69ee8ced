"""What the expressions of a jobs form may read where they stand, and whether it is there."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag.workflows.expressions.conditions import condition_of
from aiodag.workflows.expressions.template import ExpressionFaults, Read, template_of
from aiodag.workflows.files.json import Path, cut

if TYPE_CHECKING:
    from aiodag.workflows.jobs.gathering import Gathering
    from aiodag.workflows.jobs.model import WorkflowJob

TOP = frozenset({"params", "env", "secrets", "release", "run", "workflow", "status"})
BEFORE_JOBS = TOP - {"run", "secrets"}  # when a run is asked for: nothing has begun
IN_JOB = TOP | {"needs", "jobs", "job"}
IN_COMBINATION = IN_JOB | {"matrix", "strategy"}
IN_STAGE = IN_COMBINATION | {"stages"}
IN_LOOP = IN_STAGE | {"item", "loop"}
OF_RELEASE = frozenset({"logical_date", "schedule", "kind"})
ELSEWHERE = {
    "steps": "write stages",
    "inputs": "write params",
    "github": "write run or release",
    "vars": "write params or env",
    "stages": "it is known inside the stages of a job, and in its outputs",
    "matrix": "it is known inside the stages of a job with strategy: {matrix: ...}",
    "needs": "it is known inside jobs",
    "jobs": "it is known inside jobs",
    "item": "it is known inside foreach and until",
    "loop": "it is known inside foreach and until",
    "run": "nothing has begun yet when this is read",
    "secrets": "secrets are read inside stages",
}
NO_ENV: frozenset[str] = frozenset()
NO_STAGES: Mapping[str, int] = {}


class Within(NamedTuple):
    """What an expression can read where it stands."""

    roots: frozenset[str]
    job: str = ""
    variables: frozenset[str] | None = None  # of the matrix, where they are known
    stages: Mapping[str, int] = NO_STAGES  # of its list, with their places
    before: int = 0  # the place of its own stage: those before have run
    outer: "Within | None" = None  # around the list
    env: frozenset[str] | None = None  # the variables of `env`, where they are known

    def inside(self, stages: Mapping[str, int], *, loop: bool = False) -> "Within":
        """Return what the stages of a list can read, apart from those before them."""
        roots = self.roots | (IN_LOOP if loop else IN_STAGE)
        return self._replace(roots=roots, stages=stages, before=0, outer=self)

    def with_env(self, env: object) -> "Within":
        """Return what can be read where there are more variables."""
        known = None if self.env is None or not isinstance(env, dict) else self.env | env.keys()
        return self._replace(env=known)


class References:
    """Looks at everything that the expressions of one document read, when all of it has been found."""

    def __init__(
        self,
        gathering: "Gathering",
        jobs: Mapping[str, "WorkflowJob"],
        ancestors: "Ancestors",
        params: Collection[str],
        secrets: Collection[str],
    ) -> None:
        self.gathering = gathering
        self.jobs = jobs
        self.ancestors = ancestors
        self.params, self.secrets = params, secrets
        self._ids: dict[str, frozenset[str]] = {}

    def check(self) -> None:
        """Complain of all that is not there."""
        for path, value, names, within in self.gathering.reads:
            wrong = {read: text for read in sorted(names) if (text := self.why_not(read, within))}
            places = places_of_reads(value) if wrong else {}
            for read, text in wrong.items():
                self.gathering.fault((*path, *places.get(read, ())), f"reads {cut('.'.join(read))}: {text}")

    def why_not(self, read: tuple[str, ...], within: Within) -> str:
        """Return why something cannot be read; nothing if it can."""
        root, *rest = read
        if root not in within.roots:
            known = sorted(within.roots - {"status"})
            near = "" if root in ELSEWHERE else self.gathering.hints.near(root, known).removeprefix("; ")
            return ELSEWHERE.get(root, near) or f"known here are {', '.join(known)}"
        if not rest:
            return ""
        check = getattr(self, f"_{root}", None)
        return check(rest, within) if check is not None else ""

    def _unknown(self, what: str, name: str, known: Collection[str]) -> str:
        hint = self.gathering.hints.near(name, known)
        if not hint and self.gathering.hints.left > 0:  # of very many faults only the first list what there is
            hint = f"; there are {listed_names(known)}"
        return f"there is no {what} {cut(name)!r}{hint}"

    def _params(self, rest: list[str], within: Within) -> str:
        return "" if rest[0] in self.params else self._unknown("param", rest[0], self.params)

    def _secrets(self, rest: list[str], within: Within) -> str:
        if rest[0] in self.secrets:
            return ""
        return f"{self._unknown('secret', rest[0], self.secrets)}; others have to be declared in secrets"

    def _release(self, rest: list[str], within: Within) -> str:
        return "" if rest[0] in OF_RELEASE else self._unknown("field of release", rest[0], OF_RELEASE)

    def _matrix(self, rest: list[str], within: Within) -> str:
        if within.variables is None or rest[0] in within.variables:
            return ""
        return self._unknown("variable of the matrix", rest[0], within.variables)

    def _env(self, rest: list[str], within: Within) -> str:
        if within.env is None or rest[0] in within.env:
            return ""
        what = self._unknown("variable of env", rest[0], within.env)
        return f"{what}; write ${{{cut(rest[0])}}} for one of the process"

    def _stages(self, rest: list[str], within: Within) -> str:
        here: Within | None = within
        later = False
        while here is not None:
            place = here.stages.get(rest[0])
            if place is not None and place < here.before:
                return ""
            later = later or place is not None
            here = here.outer
        if later:
            return "that stage comes later, or is this one: stages run in their order"
        before = within.stages.items() if self.gathering.hints.left > 0 else ()
        return self._unknown(
            "stage before this one", rest[0], [name for name, place in before if place < within.before]
        )

    def _needs(self, rest: list[str], within: Within) -> str:
        needs = self.jobs[within.job].needs if within.job in self.jobs else ()
        if rest[0] not in needs:
            what = self._unknown("job", rest[0], self.jobs) if rest[0] not in self.jobs else ""
            return what or f"{cut(within.job)!r} does not need {cut(rest[0])!r}: add it to needs"
        return self._of_job(rest)

    def _jobs(self, rest: list[str], within: Within) -> str:
        if rest[0] not in self.jobs:
            return self._unknown("job", rest[0], self.jobs)
        if not self.ancestors.has(within.job, rest[0]):
            return f"{cut(within.job)!r} does not wait for {cut(rest[0])!r}: add it to needs"
        return self._of_job(rest)

    def _of_job(self, rest: list[str]) -> str:
        """Return why something of a finished job cannot be read."""
        job, *parts = self.jobs[rest[0]], *rest[1:]
        if len(parts) > 1 and parts[0] == "outputs" and parts[1] not in job.outputs:
            return self._unknown(f"output of the job {cut(job.id)!r}", parts[1], job.outputs)
        if len(parts) > 1 and parts[0] == "stages" and parts[1] not in self._stages_of(job):
            return self._unknown(f"stage in the job {cut(job.id)!r}", parts[1], self._stages_of(job))
        return ""

    def _stages_of(self, job: "WorkflowJob") -> frozenset[str]:
        """Return the ids of a job's stages."""
        if job.id not in self._ids:
            self._ids[job.id] = frozenset([stage.id for stage in job.stages])
        return self._ids[job.id]


class Ancestors:
    """Which jobs come before which, also by others in between. Each job has a number, and a set of numbers in one int."""

    def __init__(self, needs: Mapping[str, Iterable[str]], order: Iterable[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(needs)}
        self._needs = needs
        self._order = order
        self._before: dict[str, int] | None = None

    def has(self, job: str, other: str) -> bool:
        """Return True if a job comes after another."""
        if self._before is None:  # only where somebody asks
            self._before = {}
            for name in self._order:
                found = 0
                for each in self._needs[name]:
                    found |= self._before.get(each, 0) | 1 << self._numbers[each]
                self._before[name] = found
        return bool(self._before.get(job, 0) >> self._numbers[other] & 1)


def places_of_reads(value: object) -> dict[Read, Path]:
    """Return where in a value the first text stands that reads something, for all that it reads."""
    found: dict[Read, Path] = {}
    for path, text in texts_in_value(value):
        try:
            names = template_of(text).names if path or not isinstance(value, str) else condition_of(text).names
        except ExpressionFaults:
            continue
        for read in names:
            found.setdefault(read, path)
    return found


def texts_in_value(value: object) -> Iterator[tuple[Path, str]]:
    """Yield the texts in a value, with their paths."""
    left: list[tuple[Path, Any]] = [((), value)]
    while left:
        path, here = left.pop()
        if isinstance(here, str):
            yield path, here
        elif isinstance(here, dict):
            left += [((*path, key), each) for key, each in reversed(here.items())]
        elif isinstance(here, list):
            left += [((*path, place), each) for place, each in reversed([*enumerate(here)])]


def listed_names(names: Collection[str]) -> str:
    """Return names for a message, the first of many."""
    if not names:
        return "none"
    shown = [cut(name) for name in sorted(names)[:10]]
    return ", ".join(shown) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")
