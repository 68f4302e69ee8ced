"""The kinds of stages without stages in them: what each is run with, and what runs."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag.commands.at_once import AT_ONCE
from aiodag.workflows.jobs.stages import bash, echo, raising, run, sleep, uses
from aiodag.workflows.jobs.stages.bodies import StageBody

if TYPE_CHECKING:
    from aiodag._core.limits import Limit
    from aiodag.workflows.jobs.model import Stage


class Leaf(NamedTuple):
    """One kind: the arguments of a stage's node, what that node runs, and how many of them run at once."""

    arguments: "Callable[[Stage, Mapping[str, Any]], dict[str, Any]]"
    body: StageBody
    limit: "Limit | None" = None


LEAVES: Mapping[str, Leaf] = MappingProxyType(
    {
        "run": Leaf(run.run_arguments, run.run_python, AT_ONCE),
        "bash": Leaf(bash.bash_arguments, bash.run_script, AT_ONCE),
        "uses": Leaf(uses.uses_arguments, uses.call_hook),
        "echo": Leaf(echo.echo_arguments, echo.say_message),
        "empty": Leaf(echo.echo_arguments, echo.say_message),
        "raise": Leaf(raising.raise_arguments, raising.fail_as_declared),
        "sleep": Leaf(sleep.sleep_arguments, sleep.pause),
    }
)
