"""The jobs of a document: what each needs, its matrix, and its stages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiodag._core.named import LOCAL
from aiodag.workflows.files.json import Path, cut
from aiodag.workflows.files.shapes import describe_value, is_name
from aiodag.workflows.jobs.digests import job_digest
from aiodag.workflows.jobs.gathering import Gathering
from aiodag.workflows.jobs.ids import id_fault, is_id
from aiodag.workflows.jobs.keys import FOREIGN_JOB, JOB_KEYS, RETRY_KEYS, RULES_OF_JOBS, STRATEGY_KEYS
from aiodag.workflows.jobs.matrix import ENTRIES, combinations, faults_of_matrix
from aiodag.workflows.jobs.model import Matrix, Stage, WorkflowJob
from aiodag.workflows.jobs.references import IN_COMBINATION, IN_JOB, Within
from aiodag.workflows.jobs.stage_reading import Forms, StageReading

RUNNERS = ("ubuntu-", "windows-", "macos-", "self-hosted")


class JobReading:
    """Reads jobs, one after the other."""

    def __init__(
        self, gathering: Gathering, known: Mapping[str, Any], within: Within, hosts: Mapping[str, Any]
    ) -> None:
        self.gathering = gathering
        self.hosts = hosts  # those of the file
        self.known = known  # all jobs, as they are written
        self.within = within  # what each of them can read
        self.stages = StageReading(gathering)

    def read(self, name: str, value: object, path: Path) -> WorkflowJob:
        """Return a job."""
        reader = self.gathering
        if not is_id(name):
            reader.fault(path, id_fault(name))
        given = reader.mapping(value, path, "a job: {stages: [...]}")
        reader.keys(given, JOB_KEYS, path, FOREIGN_JOB)
        outside = self.within._replace(job=name)
        matrix = self._matrix(given, path, outside) if "strategy" in given else None
        around = outside._replace(roots=IN_COMBINATION if matrix else IN_JOB, variables=variables_of(matrix))
        inside = around.with_env(given["env"]) if "env" in given else around
        forms: Forms = ()
        if "stages" in given:
            forms = self.stages.read(given["stages"], (*path, "stages"), inside)
        elif isinstance(value, dict) and "steps" not in given:
            reader.fault(path, "has no stages: list at least one")
        stages = tuple(stage for stage, _ in forms)
        after = inside.inside({stage.id: place for place, stage in enumerate(stages)})._replace(before=len(stages))
        return WorkflowJob(
            id=name,
            name=reader.name(given, path, name),
            description=description_of(given, reader, path),
            path=path,
            place=reader.places.of(path),
            digest=job_digest(given, forms),
            stages=stages,
            needs=self._needs(given, path) if "needs" in given else (),
            condition=reader.condition(given, "if", path, outside),
            trigger_rule=self._rule(given, path),
            matrix=matrix,
            env=self.stages.contents.names(given["env"], (*path, "env"), around) if "env" in given else None,
            outputs=self._outputs(given, (*path, "outputs"), after) if "outputs" in given else {},
            timeout=reader.timeout(given, path, outside),
            retry=reader.retry(given, path, RETRY_KEYS),
            continue_on_error=reader.flag(given, "continue-on-error", path, usual=False),
            runs_on=self._runs_on(given, stages, (*path, "runs-on")) if "runs-on" in given else None,
        )

    def _needs(self, given: Mapping[str, Any], path: Path) -> tuple[str, ...]:
        """Return the jobs that a job waits for, without those that are not there."""
        value = given["needs"]
        listed: Any = [value] if isinstance(value, str) else value
        where = (*path, "needs")
        if not isinstance(listed, list):
            self.gathering.fault(where, f"takes the id of a job, or a list of them; this is {describe_value(value)}")
            return ()
        found: dict[str, None] = {}
        for place, each in enumerate(listed):
            at = where if isinstance(value, str) else (*where, place)
            if not isinstance(each, str):
                self.gathering.fault(at, f"takes the id of a job; this is {describe_value(each)}")
            elif each not in self.known:
                hint = self.gathering.hints.near(each, self.known)
                self.gathering.fault(at, f"is {cut(each)!r}, and no job here has that id{hint}")
            elif each in found:
                self.gathering.fault(at, f"is {cut(each)!r} for the second time")
            else:
                found[each] = None
        return tuple(found)

    def _rule(self, given: Mapping[str, Any], path: Path) -> str:
        """Return by which outcomes of what it needs a job runs."""
        rule = given.get("trigger-rule", RULES_OF_JOBS[0])
        where = (*path, "trigger-rule")
        if not isinstance(rule, str) or rule not in RULES_OF_JOBS:
            hint = self.gathering.hints.near(rule, RULES_OF_JOBS) if isinstance(rule, str) else ""
            self.gathering.fault(
                where, f"takes one of {', '.join(RULES_OF_JOBS)}; this is {describe_value(rule)}{hint}"
            )
            return RULES_OF_JOBS[0]
        if rule != RULES_OF_JOBS[0] and not given.get("needs"):
            self.gathering.fault(where, "is a rule about what the job needs, and it needs nothing: write needs")
        return rule

    def _runs_on(self, given: Mapping[str, Any], stages: Sequence[Stage], path: Path) -> str | None:
        """Return the name of the host that a job runs on."""
        value = given["runs-on"]
        where = value.get("type") if isinstance(value, dict) and value == {"type": LOCAL} else value
        if not isinstance(where, str) or not is_name(where):
            self.gathering.fault(path, f"takes local, or the name of a host; this is {describe_value(value)}")
            return None
        if where.startswith(RUNNERS) and where not in self.hosts:
            text = f"takes local, or the name of a host; {cut(where)!r} is a runner of GitHub: leave it out"
            self.gathering.fault(path, text)
        here = next((each for each in every_stage(stages) if each.kind == "run"), None) if where != LOCAL else None
        if here is not None:
            text = f"is {cut(where)!r}, and stage {here.id!r} is `run`, Python in the environment of this process: write bash there, or leave runs-on out"
            self.gathering.fault(path, text)
        return where

    def _outputs(self, given: Mapping[str, Any], path: Path, within: Within) -> dict[str, Any]:
        """Return what a job hands on, by names."""
        found: dict[str, Any] = {}
        for name, value in self.gathering.mapping(given["outputs"], path, "names and values").items():
            if not is_id(name):
                self.gathering.fault((*path, str(name)), id_fault(name))
            found[str(name)] = self.gathering.template(value, (*path, str(name)), within)
        return found

    # The matrix

    def _matrix(self, given: Mapping[str, Any], path: Path, within: Within) -> Matrix | None:
        """Return the matrix of a job."""
        reader = self.gathering
        path = (*path, "strategy")
        strategy = reader.mapping(given["strategy"], path, "{matrix: {...}, max-parallel: N, fail-fast: true}")
        reader.keys(strategy, STRATEGY_KEYS, path)
        if "matrix" not in strategy:
            if strategy:
                reader.fault(path, "has no matrix: write matrix: {NAME: [...]}")
            return None
        value, where = strategy["matrix"], (*path, "matrix")
        if not isinstance(value, dict) and not (isinstance(value, str) and "${{" in value):
            reader.fault(where, f"takes names of variables and lists of values; this is {describe_value(value)}")
            return None
        inside = value if isinstance(value, dict) else {}
        entries: dict[str, tuple[Any, Path]] = {}
        for key in ENTRIES:
            if key in inside and key in strategy:
                reader.fault((*path, key), "is given inside matrix, too: write one of them")
            if key in inside or key in strategy:
                entries[key] = (inside[key], (*where, key)) if key in inside else (strategy[key], (*path, key))
        axes = (
            {name: each for name, each in inside.items() if name not in ENTRIES} if isinstance(value, dict) else value
        )
        faults = len(reader.faults)
        templates = {key: reader.template(each, at, within) for key, (each, at) in entries.items()}
        axes_template = reader.template(axes, where, within)
        if axes_template is None:
            return None
        plain = axes_template.plain and all(each is not None and each.plain for each in templates.values())
        known = None
        if not plain:
            self._complain_of_shapes(axes, where)
        elif len(reader.faults) == faults:
            known = self._known(axes, entries, where)
        return Matrix(
            path=where,
            place=reader.places.of(where),
            axes=axes_template,
            include=templates.get("include"),
            exclude=templates.get("exclude"),
            max_parallel=reader.count(strategy, "max-parallel", path, within),
            fail_fast=reader.flag(strategy, "fail-fast", path, usual=True),
            known=known,
        )

    def _complain_of_shapes(self, axes: Any, where: Path) -> None:
        """Complain of variables that no values can make right."""
        for name, values in axes.items() if isinstance(axes, dict) else ():
            if not isinstance(values, list) and not (isinstance(values, str) and "${{" in values):
                self.gathering.fault((*where, str(name)), f"takes a list of values; this is {describe_value(values)}")

    def _known(self, axes: Any, entries: Mapping[str, tuple[Any, Path]], where: Path) -> Any:
        """Return the combinations of a matrix that depends on nothing; complain of what cannot be."""
        include, exclude = (each_entry_of(entries.get(key)) for key in ENTRIES)
        faults = [
            *((path, text) for path, text in faults_of_matrix(axes, include, exclude)),
            *(
                ((name,), "is an empty list: it takes at least one value")
                for name, values in axes.items()
                if values == []
            ),
        ]
        if not axes and not include:
            faults.append(((), "has no variables: write NAME: [...]"))
        for path, text in faults:
            at = (*entries[str(path[0])][1], *path[1:]) if path and path[0] in entries else (*where, *path)
            self.gathering.fault(at, text)
        return None if faults else tuple(combinations(axes, include, exclude))


def each_entry_of(given: tuple[Any, Path] | None) -> Any:
    """Return the entries of include or exclude; one alone may stand without its list."""
    value = [] if given is None or given[0] is None else given[0]
    return [value] if isinstance(value, dict) else value


def variables_of(matrix: Matrix | None) -> frozenset[str] | None:
    """Return the variables of a matrix, where they are known."""
    if matrix is None or matrix.known is None:
        return None
    return frozenset(name for choice in matrix.known for name in choice)


def description_of(given: Mapping[str, Any], gathering: Gathering, path: Path) -> str | None:
    """Return what is said about something for people."""
    key = "description" if "description" in given else "desc"
    if key not in given:
        return None
    if "description" in given and "desc" in given:
        gathering.fault((*path, "desc"), "is given besides description: write one of them")
    return gathering.text(given[key], (*path, key))


def every_stage(stages: Sequence[Stage]) -> Iterator[Stage]:
    """Yield stages, and those inside them."""
    left = [*stages]
    while left:
        stage = left.pop()
        yield stage
        left += [*stage.stages, *(each for inner in stage.branches.values() for each in inner)]
