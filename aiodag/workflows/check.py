"""Find all that is wrong in a workflow, and the order in which its tasks can run.

Everything takes time in proportion to tasks and edges, and nothing recurses. A group is a vertex like a task: it waits
for its members, and what waits for it has one edge.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag._core.capacity import Capacity, by_file, by_workflow, refusal, request_at
from aiodag._core.failure import shorten
from aiodag._core.run_options import tags_of
from aiodag.errors import Complaint, OptionError, WorkflowError
from aiodag.wording import is_utf8
from aiodag.workflows.cycles import order_vertices
from aiodag.workflows.machines import Machines
from aiodag.workflows.model import WorkflowTask
from aiodag.workflows.paired import choices, count_of, meets_one, pairing_faults, shared_groups
from aiodag.workflows.parameters import (
    Given,
    Shown,
    command_text,
    declared_parameters,
    doubtful,
    fold,
    is_command,
    is_parameter_value,
    is_simple,
    misfit,
    name_with,
    nearest_parameter,
    options_of,
    places,
    standing_bare,
)
from aiodag.workflows.sites import Sites

if TYPE_CHECKING:
    from aiodag.workflows.definition import Definition

MOST = 10_000_000  # nodes of one task
SEARCHED = 10_000  # names among which a near miss is looked for: it takes time for each
HINTED = 20  # unknown names for which that is done
NEAR = 100  # names in commands that are compared with those of all parameters


class Checked(NamedTuple):
    """A workflow without faults: tasks and groups by number, groups after the tasks."""

    workflow: "Definition"
    tasks: Sequence[WorkflowTask[Any]]  # as they were: somebody may add more while these run
    upstream: list[Sequence[int]]
    order: list[int]  # upstream first, else as declared
    uses: Mapping[int, tuple[list[str], Given]]  # of tasks that use parameters: which, and the values of all
    groups: list[str]  # those that something waits for
    members: Mapping[str, list[int]]  # of every group
    outside: Mapping[int, list[str]]  # of tasks that are added to a graph: what they wait for there
    ruled: bool  # whether a task has another trigger rule than the usual one

    def name(self, vertex: int) -> str:
        """Return the name of a task or group."""
        tasks = self.tasks
        return tasks[vertex].name if vertex < len(tasks) else self.groups[vertex - len(tasks)]

    def has(self, name: str) -> bool:
        """Return True if a task has this name."""
        return name in self.workflow and self.workflow[name].index < len(self.tasks)

    def named(self, name: str) -> Sequence[int]:
        """Return the tasks that a name stands for: all of a group, one, or none."""
        if name in self.members:
            return self.members[name]
        return (self.workflow[name].index,) if self.has(name) else ()


class Around:
    """What a workflow finds around it: nothing, unless its tasks are added to a graph."""

    def has(self, name: str) -> bool:
        """Return True if a name is taken."""
        return False

    def why_not(self, name: str) -> str | None:
        """Return why a name cannot be waited for; None if it can."""
        return "which is not there"


def check_workflow(
    workflow: "Definition",
    around: Around | None = None,
    *,
    capacity: Capacity | None = None,
    runs: bool = False,
    machines: Machines | None = None,
    elsewhere: bool = False,
) -> Checked:
    """Check a workflow, also that a capacity has what tasks ask for; `runs` if it is the one that they will find.

    With `machines`, which are those of its run, the hosts and executors that its tasks name must be there, too; unless it
    runs `elsewhere`, in a process that may know others.

    Raises `WorkflowError`.
    """
    check = Check(workflow, around or Around())
    found = check.whole()
    sites = None if machines is None else Sites(machines, elsewhere=elsewhere)
    for task, text in () if sites is None else sites.faults(workflow.tasks):
        check.complain(task, text)
    if capacity is not None or runs:
        check.resources(capacity, sites)
    if check.complaints:
        raise WorkflowError(check.complaints)
    return found


class Check:
    """One look at a workflow."""

    def __init__(self, workflow: "Definition", around: Around) -> None:
        self.workflow = workflow
        self.around = around
        self.complaints: list[Complaint] = []
        self.members: dict[str, list[int]] = {}
        self.groups: list[str] = []
        self.group_numbers: dict[str, int] = {}
        self.outside: dict[int, list[str]] = {}
        self.hinted = 0
        self.meant: dict[str, str | None] = {}  # by names in commands, where only the workflow has parameters
        self.folded: dict[str, str] | None = None  # names of its parameters by what `fold` makes of them
        self.searches = 0
        self.unusable: set[int] = set()  # ids of lists of values

    def complain(self, task: WorkflowTask[Any] | None, text: str) -> None:
        """Note a fault."""
        self.complaints.append(Complaint("" if task is None else task.place, text))

    def whole(self) -> Checked:
        """Look at everything, and return what was found out on the way."""
        self.settings()
        self.names()
        upstream: list[Sequence[int]] = [self.upstream_of(task) for task in self.workflow.tasks]
        upstream += [self.members[group] for group in self.groups]
        uses = self.uses()
        tasks = list(self.workflow.tasks)
        ruled = any(task.rule is not None for task in tasks)
        found = Checked(self.workflow, tasks, upstream, [], uses, self.groups, self.members, self.outside, ruled)
        self.node_names(found)
        self.rules(found)
        self.commands(found)
        for ring in order_vertices(upstream, found.order):
            self.complain(self.first_task(ring), f"cycle: {cycle_path(found, ring)}")
        return found

    def first_task(self, ring: list[int]) -> WorkflowTask[Any]:
        """Return the task of a cycle that was declared first."""
        return self.workflow.tasks[min(ring)]  # groups come after the tasks

    def settings(self) -> None:
        """Check what belongs to the whole."""
        workflow = self.workflow
        self.text(None, workflow.name)
        try:
            tags_of(workflow.tags)
        except OptionError as error:
            self.complain(None, str(error))
        limit: Any = workflow.limit
        if limit is not None and (type(limit) is not int or limit < 1):
            self.complain(None, f"limit={limit!r} cannot work: limit takes an int of 1 or more")
        self.values(None, workflow.parameters)
        if workflow.paired and not self.complaints:
            for task, fault in pairing_faults(workflow):
                self.complain(task, fault)

    def values(self, task: WorkflowTask[Any] | None, parameters: Given) -> None:
        """Check the values of parameters."""
        given: Any
        name: Any
        for name, given in parameters.items():
            if not isinstance(name, str) or not name or "{" in name or "}" in name or not is_utf8(name):
                self.complain(task, f"parameter {name!r}: its name must be text without braces and half surrogates")
            if isinstance(given, str | bytes | Mapping) or not isinstance(given, Collection):
                self.unusable.add(id(given))
                self.complain(task, f"parameter {name!r} has {given!r} for values. Write a list of them")
                continue
            if isinstance(given, range):  # numbers, each once, and maybe ten million
                continue
            wrong = [each for each in given if not is_parameter_value(each)]
            if wrong:
                self.unusable.add(id(given))
                shown = ", ".join(map(repr, wrong[:3]))
                self.complain(
                    task,
                    f"parameter {name!r} has {shown}: values are text without NUL and half surrogates, finite numbers, bools",
                )
                continue
            for text, count in Counter(map(command_text, given)).items():
                if count > 1:
                    self.complain(task, f"parameter {name!r} has the value {text!r} more than once")

    def names(self) -> None:
        """Check that names are different, and note the members of groups."""
        for task in self.workflow.tasks:
            first = self.workflow[task.name]
            if first is not task:
                self.complain(task, f"the name {task.name!r} is taken: by the task at {first.place}")
            elif self.around.has(task.name):
                self.complain(task, f"the name {task.name!r} is taken: a task of that name is there already")
            self.text(task, task.name)
            if task.group is not None:
                self.text(task, task.group)
                self.members.setdefault(task.group, []).append(task.index)
        for name, members in self.members.items():
            if name in self.workflow and self.workflow[name].index not in members:
                self.complain(self.workflow[name], f"{name!r} is the name of this task and of a group")

    def text(self, task: WorkflowTask[Any] | None, name: str) -> None:
        """Check that a name can be recorded."""
        if not is_utf8(name):
            self.complain(task, f"the name {name!r} has half of a surrogate pair, which no record can hold")

    def upstream_of(self, task: WorkflowTask[Any]) -> Sequence[int]:
        """Return the numbers of what a task waits for."""
        if not task.passed and not task.waits_for:
            return ()
        found: dict[int, None] = dict.fromkeys([each.index for each in task.passed])
        for given in task.waits_for:
            number = given.index if isinstance(given, WorkflowTask) else self.number_of(task, given)
            if number is not None:
                found[number] = None
        if task.index in found:
            self.complain(task, f"{task.name!r} waits for itself")
            del found[task.index]
        return tuple(found)

    def number_of(self, task: WorkflowTask[Any], name: str) -> int | None:
        """Return the number of a task or group; complain of an unknown one."""
        if name in self.members:
            if name not in self.group_numbers:
                self.group_numbers[name] = len(self.workflow.tasks) + len(self.groups)
                self.groups.append(name)
            return self.group_numbers[name]
        if name in self.workflow:
            return self.workflow[name].index
        why_not = self.around.why_not(name)
        if why_not is None:
            self.outside.setdefault(task.index, []).append(name)
        else:
            self.complain(task, f"{task.name!r} waits for {name!r}, {why_not}{self.hint(name)}")
        return None

    def hint(self, name: str) -> str:
        """Return what may have been meant."""
        tasks = self.workflow.tasks
        self.hinted += 1
        if self.hinted > HINTED or len(tasks) > SEARCHED:
            return ""
        names = [*(each.name for each in tasks), *self.members]
        found = get_close_matches(name, names, n=1)
        return f". Did you mean {found[0]!r}?" if found else ""

    def uses(self) -> dict[int, tuple[list[str], Given]]:
        """Check what tasks use of parameters, and return it."""
        workflow = self.workflow
        found: dict[int, tuple[list[str], Given]] = {}
        for task in workflow.tasks:
            if not (task.used or task.parameters or workflow.parameters):
                continue
            known = declared_parameters(workflow, task)
            self.values(task, {name: known[name] for name in task.parameters})
            said = places(task)
            self.spellings(task, known, said)
            names = [name for name in known if name in said or name in task.used]
            if names:
                found[task.index] = names, known
        if not any(isinstance(task.code, str) for task in workflow.tasks):  # reading a file has looked for more
            for task, name in standing_bare(workflow):
                self.complain(task, f"{task.name!r} has {name}, a parameter that no task uses. Write {{{{{name}}}}}")
        return found

    def node_names(self, found: Checked) -> None:
        """Check that no task is called as a node of a task with parameters will be, and that there are not too many."""
        taken = {task.name: task for task in self.workflow.tasks if task.name.endswith("]")}
        for vertex, (names, known) in found.uses.items():
            task = self.workflow.tasks[vertex]
            if any(isinstance(known[name], str | Mapping) or not isinstance(known[name], Collection) for name in names):
                continue  # told already
            count = count_of(names, known, self.workflow.paired)
            if count > MOST:
                self.complain(task, f"{task.name!r} has {count:,} instances, by {', '.join(names)}: more than {MOST:,}")
            elif taken and not self.complaints:
                for choice in choices(names, known, self.workflow.paired):
                    other = taken.get(name_with(task.name, choice))
                    if other is not None:
                        self.complain(other, f"the name {other.name!r} is taken: by a node of {task.name!r}")

    def rules(self, found: Checked) -> None:
        """Complain of rules that cannot be met, and of values that may not be there."""
        for task in found.tasks:
            rule = task.rule
            if rule is None:
                continue
            by = f"{task.name!r} runs by trigger_rule={rule.name!r}"
            if not (task.passed or task.waits_for):
                self.complain(task, f"{by}, and waits for nothing: say after=")
            if task.passed and (rule.runs_on or not task.task.raw):
                names = ", ".join(repr(each.name) for each in task.passed)
                how = "" if rule.runs_on else "; or give its task raw=True, which takes them as done futures"
                self.complain(task, f"{by}, and takes values that may not be there, of {names}: say after={how}")

    def resources(self, capacity: Capacity | None, sites: Sites | None) -> None:
        """Complain of attempts that could never begin."""
        for task in self.workflow.tasks:
            asked = request_at(options_of(task.task).resources, 1)
            if not asked:
                continue
            why = None if sites is None else sites.refusal(task.task, asked)
            if why is None:
                why = refusal(asked, capacity, by_file if isinstance(task.code, str) else by_workflow)
            if why:
                self.complain(task, f"{task.name!r} {why}")

    def spellings(self, task: WorkflowTask[Any], known: Given, said: set[str]) -> None:
        """Complain of names that are not parameters: among arguments all of them, in commands those that look like a slip."""
        listed = ", ".join(map(repr, known)) or "none"
        for name in task.used:
            if name not in known:
                self.complain(task, f"{task.name!r} uses the parameter {name!r}; declared are {listed}")
        unknown = sorted(said.difference(known))
        for name, meant in zip(unknown, self.nearest(unknown, known), strict=True):
            if meant is not None:
                self.complain(task, f"{task.name!r} has {{{{{name}}}}}. Did you mean {{{{{meant}}}}}?")

    def nearest(self, names: Sequence[str], known: Given) -> Sequence[str | None]:
        """Return the parameters that were meant. Only the first names are compared with all of them, letter by letter."""
        ours = known is self.workflow.parameters
        meant = self.meant if ours else {}
        new = [name for name in names if name not in meant]
        if new:
            words = self.folded if ours and self.folded is not None else {fold(name): name for name in known}
            self.folded = words if ours else self.folded
            for name in new:
                meant[name] = words.get(fold(name))
                if meant[name] is None and self.searches < NEAR:
                    self.searches += 1
                    meant[name] = nearest_parameter(name, known)
        return [meant[name] for name in names]

    def commands(self, found: Checked) -> None:
        """Complain of what no program can be given, among the arguments of calls and the values of parameters."""
        for task in found.tasks:
            uses = found.uses.get(task.index)
            if (uses is None and not task.kwargs and all(map(is_simple, task.args))) or not is_command(task.task):
                continue
            names, known = uses or ((), {})
            if any(id(known[name]) in self.unusable for name in names) or not set(task.used).issubset(names):
                continue  # told already
            for choice in doubtful(names, known):
                why = misfit(task, choice, partial(value_shown, found, task))
                if why:
                    name = name_with(task.name, choice) if choice else task.name
                    self.complain(task, f"{name!r} cannot run: {why}")
                    break


def value_shown(found: Checked, taker: WorkflowTask[Any], task: WorkflowTask[Any]) -> Any:
    """Return what stands for the value of a task while nothing has run: text, unless it is sure to be something else."""
    uses = found.uses.get(task.index)
    groups = shared_groups(uses, found.uses.get(taker.index), found.workflow.paired)
    if uses is not None and not (groups and meets_one(uses, groups)):
        return Shown(f"<the values of {task.name!r}, a list>")
    return Shown(f"<the definition that {task.name!r} gives>") if task.generator else ""


def cycle_path(found: Checked, ring: list[int]) -> str:
    """Write a cycle, in the direction in which things run; of a long one both ends."""
    return " -> ".join(shorten([found.name(vertex) for vertex in [*ring, ring[0]]]))
