"""The stages of a job: what each is, what is inside it, and what it is called."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiodag.workflows.expressions.conditions import Condition
from aiodag.workflows.files.json import Path, cut
from aiodag.workflows.files.shapes import describe_value
from aiodag.workflows.jobs.digests import stage_digest
from aiodag.workflows.jobs.gathering import Gathering
from aiodag.workflows.jobs.ids import id_fault, ids_of, is_id
from aiodag.workflows.jobs.keys import FOREIGN_STAGE, KIND_KEYS, KINDS, MATCH_KEYS, RETRY_KEYS, STAGE_KEYS
from aiodag.workflows.jobs.model import Stage
from aiodag.workflows.jobs.references import Within
from aiodag.workflows.jobs.stage_contents import SHELLS, Form, StageContents

EXAMPLE = '{name: "Say hello", echo: hello}'
Forms = Sequence[tuple[Stage, Mapping[str, Any]]]  # stages with what was written
GIVEN = {"run": "vars", "uses": "with", "trigger": "params"}  # the key of what a stage is given by name


class StageReading:
    """Reads lists of stages. It calls itself for what is inside them: no document is deeper than its cap."""

    def __init__(self, gathering: Gathering) -> None:
        self.gathering = gathering
        self.contents = StageContents(gathering)

    def read(self, value: object, path: Path, within: Within, *, loop: bool = False) -> Forms:
        """Return the stages of a list, with what was written of each."""
        if not isinstance(value, list) or not value:
            what = "an empty list" if value == [] else describe_value(value)
            self.gathering.fault(path, f"takes a list of stages, such as {EXAMPLE}; this is {what}")
            return ()
        ids = ids_of(value, path, self.gathering.faults)
        inside = within.inside({name: place for place, name in enumerate(ids) if name}, loop=loop)
        found: list[tuple[Stage, Mapping[str, Any]]] = []
        for place, given in enumerate(value):
            if isinstance(given, dict):
                here = inside._replace(before=place)
                found.append((self._stage(ids[place], given, (*path, place), here), given))
            else:
                text = f"takes a stage, such as {EXAMPLE}; this is {describe_value(given)}"
                self.gathering.fault((*path, place), text)
        return found

    # One stage

    def _stage(self, name: str, given: dict[str, Any], path: Path, within: Within) -> Stage:
        around, within = within, within.with_env(given["env"]) if "env" in given else within
        form = Form(self._kind(given, path), given, path, within)
        self._keys(form)
        reader = self.gathering
        bodies = self._bodies(form)
        inner = {branch: tuple(stage for stage, _ in forms) for branch, forms in bodies.items()}
        key = GIVEN.get(form.kind, "")
        return Stage(
            id=name,
            name=reader.name(given, path, name),
            kind=form.kind,
            path=path,
            place=reader.places.of(path),
            digest=stage_digest(form.kind, given, bodies),
            body=self.contents.body(form),
            given=self.contents.names(given[key], (*path, key), within) if key in given else None,
            env=self.contents.names(given["env"], (*path, "env"), around) if "env" in given else None,
            condition=reader.condition(given, "if", path, around),
            until=self._until(form),
            timeout=reader.timeout(given, path, within),
            retry=reader.retry(given, path, RETRY_KEYS),
            continue_on_error=reader.flag(given, "continue-on-error", path, usual=False),
            always=reader.flag(given, "always", path, usual=False),
            stages=inner[""] if form.kind in {"foreach", "until"} else (),
            branches=inner if form.kind in {"parallel", "case"} else {},
            settings=self.contents.settings(form),
        )

    def _kind(self, given: Mapping[str, Any], path: Path) -> str:
        """Return the kind of a stage by its keys."""
        kinds = [kind for kind in KINDS if kind in given]
        if "sleep" in kinds and "echo" in kinds:
            kinds.remove("sleep")  # a pause after it
        if len(kinds) > 1:
            self.gathering.fault(path, f"has {' and '.join(kinds)}: a stage takes one of them")
        if not kinds:
            self._complain_of_nothing(given, path)
            return "empty"
        shell = given.get("shell")
        return "bash" if kinds[0] == "run" and shell in SHELLS else kinds[0]

    def _complain_of_nothing(self, given: Mapping[str, Any], path: Path) -> None:
        """Complain of a stage without a kind, unless it is the name alone."""
        known = {*STAGE_KEYS, *(key for keys in KIND_KEYS.values() for key in keys)}
        if "name" not in given and given.keys() <= known:  # of others there is a complaint, which says what was meant
            self.gathering.fault(path, f"has nothing to do: it takes one of {', '.join(KINDS)}, or a name alone")

    def _keys(self, form: Form) -> None:
        """Complain of keys that do not belong to a stage, or to its kind."""
        own = KIND_KEYS[form.kind]
        known = {*STAGE_KEYS, *own, *KINDS}
        if form.kind == "bash" and "run" in form.given:
            known.add("run")
        belongs = {key: kind for kind, keys in KIND_KEYS.items() for key in keys}
        words = dict(FOREIGN_STAGE)
        for key in form.given:
            if key not in known and key in belongs:
                kinds = [kind for kind, keys in KIND_KEYS.items() if key in keys]
                words[key] = f"it belongs to {' and '.join(kinds)}, and this stage is {form.kind}"
        self.gathering.keys(form.given, tuple(dict.fromkeys((*STAGE_KEYS, *own, *KINDS))), form.path, words)

    def _until(self, form: Form) -> Condition | None:
        """Return the condition of until, which reads what the stages of its body have left."""
        if form.kind != "until":
            return None
        stages = form.given.get("stages")
        ids = ids_of(stages, (), []) if isinstance(stages, list) else []
        inside = form.within.inside({name: place for place, name in enumerate(ids)}, loop=True)
        return self.gathering.condition(form.given, "until", form.path, inside._replace(before=len(ids)))

    # What is inside

    def _bodies(self, form: Form) -> dict[str, Forms]:
        """Return the stages inside a stage, by the names of their branches; those of a loop have none."""
        kind, given, path, within = form
        if kind in {"foreach", "until"}:
            if "stages" not in given:
                self.gathering.fault(path, "has no stages: list what is repeated")
                return {"": ()}
            return {"": self.read(given["stages"], (*path, "stages"), within, loop=True)}
        if kind == "parallel":
            return self._branches(form)
        return self._matches(form) if kind == "case" else {}

    def _branches(self, form: Form) -> dict[str, Forms]:
        where = (*form.path, "parallel")
        wanted = "branches, each with a list of stages: {one: [...], two: [...]}"
        branches = self.gathering.mapping(form.given["parallel"], where, wanted)
        if branches == {} and isinstance(form.given["parallel"], dict):
            self.gathering.fault(where, f"is empty: it takes {wanted}")
        found: dict[str, Forms] = {}
        for name, stages in branches.items():
            if not is_id(name):
                self.gathering.fault((*where, str(name)), id_fault(name))
            found[str(name)] = self.read(stages, (*where, name), form.within)
        return found

    def _matches(self, form: Form) -> dict[str, Forms]:
        where = (*form.path, "match")
        matches = form.given.get("match")
        if not isinstance(matches, list) or not matches:
            self.gathering.fault(
                where if "match" in form.given else form.path,
                "takes match: a list of {case: VALUE, stages: [...]}, with case: _ for the rest",
            )
            return {}
        found: dict[str, Forms] = {}
        for place, given in enumerate(matches):
            match = self.gathering.mapping(given, (*where, place), "{case: VALUE, stages: [...]}")
            if not isinstance(given, dict):
                continue
            self.gathering.keys(match, MATCH_KEYS, (*where, place))
            name = self._case(match, found, (*where, place))
            found[name] = self.read(match.get("stages"), (*where, place, "stages"), form.within)
        return found

    def _case(self, match: Mapping[str, Any], found: Mapping[str, Forms], path: Path) -> str:
        """Return the value of a case, as text."""
        value = match.get("case")
        if "case" not in match or isinstance(value, dict | list) or value is None:
            self.gathering.fault((*path, "case"), "takes a text, a number, true or false; _ is for all others")
            return f"[{len(found)}]"
        name = case_text(value)
        if "${{" in name:
            self.gathering.fault((*path, "case"), "takes a plain value: put the expression into case above match")
        if name in found:
            self.gathering.fault((*path, "case"), f"is {cut(name)!r} for the second time")
        return name


def case_text(value: object) -> str:
    """Return the text that a value of case is matched by.

    >>> case_text("csv"), case_text(3), case_text(True)
    ('csv', '3', 'true')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)
