"""When a node runs that waits for others whatever becomes of them: by a rule, such as "one of them has failed".

Ordinary nodes know one rule: all upstream has succeeded. The engine counts that down and asks nobody. A node whose task has
another rule has tolerant edges alone, and is judged each time that one of its upstream settles:

    notify ──> judge ──> engine.release         its rule is met, perhaps before all have settled
                    ──> settled as skipped      it cannot be met any more, and the engine sweeps what needs the node

For the judge a node keeps one more `_pending` than its edges, so that nothing else releases it: at 1 all have settled.
"""

from typing import Any, NamedTuple

from aiodag._core.node import Node, Tolerant, Waiter
from aiodag.errors import Skip
from aiodag.states import State

JUDGE = 1  # of `_pending`: the judge's own
NONE: frozenset[str] = frozenset()
Kinds = frozenset[str]

# What became of an upstream node, as rules see it. What was skipped because of a failure has failed, too.
SUCCEEDED, FAILED, SKIPPED, CANCELLED = "succeeded", "failed", "skipped", "cancelled"


class Rule(NamedTuple):
    """When a node runs, by what became of its upstream.

    As soon as one is of `runs_on` it runs, as soon as one is of `ends_on` it never will. Where all have settled before that,
    it runs if `otherwise`, and if none is of `ends_last`. `unmet` says why it does not run.
    """

    name: str
    runs_on: Kinds = NONE
    ends_on: Kinds = NONE
    ends_last: Kinds = NONE
    otherwise: bool = True
    unmet: str = ""


LOST = frozenset({FAILED, CANCELLED})
RULES = {
    rule.name: rule
    for rule in (
        Rule("all_done"),
        Rule("all_failed", ends_on=frozenset({SUCCEEDED, SKIPPED, CANCELLED}), unmet="not all of it has failed"),
        Rule("one_failed", runs_on=frozenset({FAILED}), otherwise=False, unmet="nothing has failed"),
        Rule(
            "one_success",
            runs_on=frozenset({SUCCEEDED}),
            ends_last=LOST,
            otherwise=False,
            unmet="nothing has succeeded",
        ),
        Rule("none_failed", ends_on=LOST),
    )
}
WHOLE = Rule("none_failed", ends_last=LOST)  # as the last, but when all have settled
USUAL = "all_success"
NAMES = (USUAL, *RULES)


def outcome_kind(node: Node[Any]) -> str:
    """Return what became of a settled node."""
    if node.state is State.SKIPPED and node._fault is not None:
        return FAILED
    return str(node.state)


def notify(entry: Tolerant | Waiter, up: Node[Any]) -> Node[Any] | None:
    """Tell an awaiter, or a node that takes any outcome, that its upstream has settled.

    Return the node if that has it skipped. The caller sweeps: sweeping here would recurse along a chain of such nodes.
    """
    if isinstance(entry, Waiter):
        entry.wake()
        return None
    node = entry.node
    node._pending -= 1
    if node.state is not State.WAITING:
        return None
    if node.task.rule is not None:
        return node if judge(node, up) else None
    if not node._pending:
        node.engine.release(node)
    return None


def judge(node: Node[Any], up: Node[Any] | None) -> bool:
    """Release a waiting node or skip it, if its upstream decides: `up`, which has settled, or all of it that has.

    Return whether it was skipped: then what needs it is to be swept.
    """
    rule: Rule = node.task.rule
    for each in node.after if up is None else (up,):
        if not each.state.final:
            continue
        kind = outcome_kind(each)
        if kind in rule.ends_on:
            return skip(node, rule, each)
        if kind in rule.runs_on:
            # It needs the others no longer: not to be known as outdated by what becomes of them either.
            node.after = (each,)
            if node.tolerated:
                node.tolerated = node.after
            node.engine.release(node)
            return False
    if node._pending > JUDGE:
        return False
    end = next((each for each in node.after if outcome_kind(each) in rule.ends_last), None)
    if end is not None or not rule.otherwise:
        return skip(node, rule, end)
    node.engine.release(node)
    return False


def skip(node: Node[Any], rule: Rule, up: Node[Any] | None) -> bool:
    """Skip a node whose rule cannot be met: because of `up`, where that was lost."""
    if up is not None and outcome_kind(up) in LOST:
        node.engine.follow_down(node, up)
    else:
        why = f"its trigger_rule is {rule.name}, and of what it waits for {rule.unmet}"
        node.engine.close(node, State.SKIPPED, Skip(why), None)
    return True
