"""The stages that have stages in them: `foreach`, `parallel`, `case`, `until`; and `trigger`, with a run in it.

Each turn and each branch is a node of its own.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from aiodag._core.doors import open_door
from aiodag._core.search import leaves
from aiodag.errors import OptionError, Skip, StageFailed
from aiodag.secret import Secret
from aiodag.wording import printable
from aiodag.workflows.expressions.lexemes import cut_part
from aiodag.workflows.expressions.values import Unfit, plain_copy
from aiodag.workflows.jobs.enclosing import Siblings, call_at
from aiodag.workflows.jobs.matrix import value_shown_short
from aiodag.workflows.jobs.stage_contents import MOST_LOOPS, MOST_TURNS
from aiodag.workflows.jobs.stage_reading import case_text

if TYPE_CHECKING:
    from aiodag.workflows.jobs.model import Stage
    from aiodag.workflows.jobs.running import StageRunner
    from aiodag.workflows.jobs.scope import Scope

Usual = TypeVar("Usual", bound=int | None)
REST = "_"  # the branch of `case` for what no other one takes


async def run_foreach(runner: "StageRunner", stage: "Stage", scope: "Scope") -> dict[str, Any]:
    """Run stages for each item; give what became of them by index, or by key for a mapping."""
    items = stage.body.render(scope) if stage.body is not None else []
    turns = items_by_key(items)
    siblings = siblings_of(stage, whole_setting(stage, "concurrent", scope, 1))
    for place, (key, item) in enumerate(turns):
        loop = {"index": place, "key": key, "number": place + 1, "length": len(turns)}
        part = value_shown_short(key) if isinstance(key, str) else str(key)
        runner.enclose(stage, part, stage.stages, scope.with_(item=item, loop=loop), siblings)
    await siblings.join()
    ended = await siblings.values()
    results = {key: {"item": item, **value} for (key, item), value in zip(turns, ended, strict=True)}
    return {"items": results if isinstance(items, Mapping) else list(results.values())}


async def run_parallel(runner: "StageRunner", stage: "Stage", scope: "Scope") -> dict[str, Any]:
    """Run branches at once; give what became of each by its name."""
    siblings = siblings_of(stage, whole_setting(stage, "max_workers", scope, None))
    for name, stages in stage.branches.items():
        runner.enclose(stage, value_shown_short(name), stages, scope, siblings)
    await siblings.join()
    return {"branches": dict(zip(stage.branches, await siblings.values(), strict=True))}


async def run_case(runner: "StageRunner", stage: "Stage", scope: "Scope") -> dict[str, Any]:
    """Run the branch that a value matches. Raises `Skip` or `StageFailed` where there is none."""
    value = stage.body.render(scope) if stage.body is not None else None
    if isinstance(value, Secret):
        raise StageFailed(f"case cannot look at a secret, and this is {value!r}")
    text = case_text(value)
    found = text if text in stage.branches else REST
    if found not in stage.branches:
        why = f"no case matches {printable(text):.100}; there are {', '.join(map(repr, stage.branches)):.300}"
        raise Skip(why) if stage.settings.get("skip_not_match") else StageFailed(why)
    outcomes = (await runner.run_stages(stage.branches[found], scope)).outcomes_or_raise()
    return {"case": found, "stages": dict(outcomes)}


async def run_until(runner: "StageRunner", stage: "Stage", scope: "Scope") -> dict[str, Any]:
    """Run stages again and again until a condition holds. What a stage gives as `item` is the item of the next turn."""
    most = whole_setting(stage, "max_loop", scope, MOST_LOOPS)
    item = rendered_setting(stage.settings.get("item"), scope)
    givers = [each.id for each in reversed(stage.stages) if each.kind not in runner.containers]
    for turn in range(1, most + 1):
        here = scope.with_(item=item, loop={"index": turn - 1, "number": turn})
        siblings = Siblings(None, fail_fast=False)
        runner.enclose(stage, str(turn), stage.stages, here, siblings)
        stages = (await siblings.nodes[0])["stages"]
        item = next((stages[name]["outputs"]["item"] for name in givers if "item" in stages[name]["outputs"]), item)
        if stage.until is None or stage.until.holds(here.with_(stages={**here.get("stages", {}), **stages}, item=item)):
            return {"loops": turn, "item": item, "stages": stages}
    msg = f"{stage.id} has run {most} times, and its `until` does not hold yet; max-loop allows more"
    raise StageFailed(msg)


async def run_trigger(runner: "StageRunner", stage: "Stage", scope: "Scope") -> dict[str, Any]:  # noqa: ARG001 - as the others
    """Run another workflow to its end; give the id of its run, and the outputs of its jobs."""
    door = open_door("child_workflows")
    name = stage.body.render(scope) if stage.body is not None else ""
    if not isinstance(name, str) or not name:
        raise StageFailed(f"trigger takes the name or the file of a workflow, not {printable(repr(name)):.100}")
    given = {} if stage.given is None else stage.given.render(scope)
    refuse_recorded_secrets(given)
    try:
        given = plain_copy(given)  # as a store has it: moments as texts, which params read
    except Unfit as error:
        raise StageFailed(f"params: {error}") from None
    node = call_at(stage.place, door.BEGIN_WORKFLOW, name, given, beside=scope["workflow"]["file"])
    await node
    return dict(await door.outputs_of_child(node, name))


def refuse_recorded_secrets(given: Mapping[str, Any]) -> None:
    """Raise `StageFailed` for params of another workflow that are secrets: what a run was given is on record."""
    for name, value in given.items():
        if any(type(leaf) is Secret for leaf in leaves(value, objects=True)):
            msg = f"params.{cut_part(name)} has a secret in it, and a param is recorded: declare the secret in the workflow that reads it"
            raise StageFailed(msg)


def siblings_of(stage: "Stage", at_once: int | None) -> Siblings:
    """Return what holds the turns or branches of a stage together."""
    return Siblings(at_once, fail_fast=bool(stage.settings.get("fail_fast", True)))


def items_by_key(items: Any) -> Sequence[tuple[str | int, Any]]:
    """Return the keys and values of what a `foreach` goes through. Raises `StageFailed`."""
    if isinstance(items, int) and not isinstance(items, bool) and 0 <= items <= MOST_TURNS:
        items = range(items)
    if isinstance(items, Mapping):
        found: Sequence[tuple[str | int, Any]] = list(items.items())
    elif isinstance(items, list | tuple | range):
        found = list(enumerate(items))
    else:
        msg = f"foreach takes a list, a mapping or a number up to {MOST_TURNS:,}, not {printable(repr(items)):.100}"
        raise StageFailed(msg)
    if len(found) > MOST_TURNS:
        msg = f"foreach takes at most {MOST_TURNS:,} items, and there are {len(found):,}"
        raise StageFailed(msg)
    return found


def whole_setting(stage: "Stage", name: str, scope: "Scope", usual: Usual) -> int | Usual:
    """Return a setting that is a whole number of 1 or more. Raises `OptionError`."""
    value = rendered_setting(stage.settings.get(name), scope)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(name.replace("_", "-"), value, "a whole number of 1 or more")
    return value


def rendered_setting(value: Any, scope: "Scope") -> Any:
    """Return a setting, which may have expressions in it."""
    return value.render(scope) if hasattr(value, "render") else value


CONTAINERS = {
    "foreach": run_foreach,
    "parallel": run_parallel,
    "case": run_case,
    "until": run_until,
    "trigger": run_trigger,
}
