"""From a document of jobs to what it says, with all that is wrong in it at once."""

from collections.abc import Mapping
from typing import Any

from aiodag._core.failure import shorten
from aiodag.errors import WorkflowError
from aiodag.workflows.cycles import order_vertices
from aiodag.workflows.files.forms import MACHINES, check_tags, tags_in
from aiodag.workflows.files.json import Places, cut
from aiodag.workflows.jobs.gathering import Gathering, faults_of_leaves
from aiodag.workflows.jobs.job_reading import JobReading, description_of
from aiodag.workflows.jobs.keys import CONCURRENCY_KEYS, FOREIGN_TOP, WORKFLOW_KEYS
from aiodag.workflows.jobs.model import Concurrency, JobsDefinition, SecretSource, WorkflowJob
from aiodag.workflows.jobs.references import BEFORE_JOBS, IN_JOB, NO_ENV, TOP, Ancestors, References, Within
from aiodag.workflows.jobs.triggers import triggers_in
from aiodag.workflows.machines import placed_forms
from aiodag.workflows.params import params_of


def read_jobs(document: object, places: Places, *, name: str = "workflow", recorded: bool = False) -> JobsDefinition:
    """Return what a document of jobs says. Its name is `name` unless it says one.

    One that was `recorded` is read without its functions: a worker looks for them when it calls them. Raises
    `WorkflowError` with all that is wrong.
    """
    gathering = Gathering(places, recorded=recorded)
    gathering.faults.extend(faults_of_leaves(document) if isinstance(document, dict) else ())
    found = None if gathering.faults else DocumentReading(gathering).read(document, name)
    if found is None or gathering.faults:
        raise WorkflowError(places.complaints(gathering.faults))
    return found


def is_jobs_form(document: object) -> bool:
    """Return True for a document that has jobs, and not tasks."""
    return isinstance(document, dict) and "jobs" in document and "tasks" not in document


class DocumentReading:
    """Reads the top of a document, and its jobs."""

    def __init__(self, gathering: Gathering) -> None:
        self.gathering = gathering

    def read(self, document: object, name: str) -> JobsDefinition:
        """Return what a document says."""
        reader = self.gathering
        given = reader.mapping(document, (), "a workflow: {jobs: {...}}")
        reader.keys(
            {key: value for key, value in given.items() if not key.startswith("x-")}, WORKFLOW_KEYS, (), FOREIGN_TOP
        )
        params, faults = params_of(given.get("params"), lambda name: reader.places.of(("params", name)))
        reader.faults.extend((("params", *path), text) for path, text in faults)
        secrets = self._secrets(given["secrets"]) if "secrets" in given else {}
        env = self._env(given["env"]) if "env" in given else None
        machines = self._machines(given)
        jobs = self._jobs(given, machines.get("hosts", {}))
        ancestors = Ancestors({job.id: job.needs for job in jobs.values()}, self._order(jobs))
        concurrency = self._concurrency(given["concurrency"]) if "concurrency" in given else None
        declared = given.get("params")  # also those that are declared wrong
        References(reader, jobs, ancestors, declared if isinstance(declared, dict) else params, secrets).check()
        return JobsDefinition(
            name=reader.name(given, (), name),
            document=given,
            jobs=jobs,
            source=reader.places.source,
            description=description_of(given, reader, ()),
            params=params,
            env=env,
            secrets=secrets,
            triggers=triggers_in(reader, given["on"]) if "on" in given else (),
            concurrency=concurrency,
            tags=self._tags(given),
            limit=reader.whole(given["limit"], ("limit",), 1) if "limit" in given else None,
            machines=machines,
        )

    def _tags(self, given: Mapping[str, Any]) -> dict[str, str]:
        faults = [*check_tags(given["tags"])] if "tags" in given else []
        self.gathering.faults.extend((("tags", *path), text) for path, text in faults)
        return {} if faults else tags_in(given)

    def _machines(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return where jobs run: hosts by their names, and the one of jobs that name none."""
        found: dict[str, Any] = {}
        for key, name in (("hosts", "hosts"), ("default-host", "default_host")):
            if key in given:
                faults = [*MACHINES[name](given[key])]
                self.gathering.faults.extend(((key, *path), text) for path, text in faults)
                found.update({} if faults else {name: given[key]})
        if "hosts" in found:
            found["hosts"] = placed_forms("hosts", found["hosts"], self.gathering.places.directory)
        return found

    def _env(self, value: object) -> Any:
        given = self.gathering.mapping(value, ("env",), "names and values")
        return self.gathering.template(given, ("env",), Within(TOP, env=NO_ENV))

    def _secrets(self, value: object) -> dict[str, SecretSource]:
        """Return the secrets that are declared: names of variables, or names with where each comes from."""
        reader = self.gathering
        if isinstance(value, list):
            value = {each if isinstance(each, str) else f"[{place}]": each for place, each in enumerate(value)}
        found: dict[str, SecretSource] = {}
        for name, source in reader.mapping(value, ("secrets",), "names, or {NAME: {env: VARIABLE}}").items():
            made = secret_source(
                name, {"env": name if source is None else source} if isinstance(source, str | None) else source
            )
            if made is None:
                reader.fault(("secrets", name), "takes the name of a variable, {env: VARIABLE} or {file: PATH}")
            else:
                found[name] = made
        return found

    def _concurrency(self, value: object) -> Concurrency | None:
        """Return the group of runs that this one belongs to."""
        reader, path = self.gathering, ("concurrency",)
        within = Within(BEFORE_JOBS, env=NO_ENV)
        form = {"group": value} if isinstance(value, str) else reader.mapping(value, path, "the name of a group")
        reader.keys(form, CONCURRENCY_KEYS, path)
        if "group" not in form:
            reader.fault(path, "has no group: write {group: NAME}")
            return None
        at = path if isinstance(value, str) else (*path, "group")
        group = None if reader.text(form["group"], at) is None else reader.template(form["group"], at, within)
        cancel: Any = form.get("cancel-in-progress", False)
        if isinstance(cancel, str) and "${{" in cancel:
            cancel = reader.template(cancel, (*path, "cancel-in-progress"), within)
        elif not isinstance(cancel, bool):
            cancel = reader.flag(form, "cancel-in-progress", path, usual=False)
        return None if group is None else Concurrency(group, cancel or False)

    # Jobs

    def _jobs(self, given: Mapping[str, Any], hosts: Mapping[str, Any]) -> dict[str, WorkflowJob]:
        reader = self.gathering
        if "jobs" not in given:
            reader.fault((), "has no jobs: write jobs: {NAME: {stages: [...]}}")
            return {}
        forms = reader.mapping(given["jobs"], ("jobs",), "jobs: {NAME: {stages: [...]}}")
        if forms == {} and isinstance(given["jobs"], dict):
            reader.fault(("jobs",), "is empty: a workflow has at least one job")
        reading = JobReading(reader, forms, Within(IN_JOB, env=NO_ENV).with_env(given.get("env", {})), hosts)
        return {name: reading.read(name, form, ("jobs", name)) for name, form in forms.items()}

    def _order(self, jobs: Mapping[str, WorkflowJob]) -> list[str]:
        """Return the jobs, each after those that it needs; complain of cycles."""
        names = [*jobs]
        numbers = {name: number for number, name in enumerate(names)}
        order: list[int] = []
        for ring in order_vertices([[numbers[each] for each in job.needs] for job in jobs.values()], order):
            path = [names[number] for number in [*ring, ring[0]]]
            first = names[min(ring)]
            self.gathering.fault(("jobs", first, "needs"), f"cycle: {' -> '.join(shorten([*map(cut, path)]))}")
        return [names[number] for number in order]


def secret_source(name: str, form: object) -> SecretSource | None:
    """Return where a secret comes from; None for a form that cannot be."""
    if not isinstance(form, dict) or len(form) != 1:
        return None
    key, text = next(iter(form.items()))
    if not isinstance(text, str) or not text or not text.isprintable() or key not in {"env", "file"}:
        return None
    if key == "file":
        return SecretSource(name, text)
    return None if "=" in text else SecretSource(text)
