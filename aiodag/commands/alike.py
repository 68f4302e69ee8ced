"""Commands that differ in their line and their name alone, as a workflow file may have a million of them.

The first with some options is made as a whole: the pattern. Each other one has its line, its name and the pattern, and
becomes a whole task for as long as somebody asks for more:

    pattern      line, name, options, version, middleware, digest        3,000 bytes, once for each set of options
    ◄── line, name                                                          80 bytes
    ◄── line, name
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiodag._core.arity import UNLIMITED
from aiodag.commands.arguments import checked_line
from aiodag.commands.task import Command, CommandTask, command, shell

if TYPE_CHECKING:
    from typing import Unpack

    from aiodag._core.signatures import OptionTypes


class LineTask(CommandTask):
    """The task of a command of which only the line and the name are its own."""

    __slots__ = ("_pattern", "line", "name")

    _pattern: Any  # a task is a descriptor to checkers: as an attribute it would be bound
    fewest, most = 0, UNLIMITED
    raw, after_deps = False, ()

    def __init__(self, pattern: CommandTask, line: tuple[Any, ...], name: str) -> None:
        self._pattern = pattern
        self.line = line
        self.name = name

    def __getattr__(self, name: str) -> Any:
        if name in LineTask.__slots__:  # of one that is not complete yet
            raise AttributeError(name)
        return getattr(self.whole(), name)

    @property
    def pattern(self) -> CommandTask:
        """The task whose options these are."""
        return self._pattern  # type: ignore[no-any-return]  # as above

    def whole(self) -> CommandTask:
        """Return the task with all that a command has. It is not kept."""
        return self.with_body(self.fn)

    def with_body(self, body: Command, /, **options: "Unpack[OptionTypes]") -> CommandTask:
        """Return the task of another body, with the options of this one, or some changed."""
        made: CommandTask = self._pattern.with_body(body, **{"name": self.name, **options})
        return made

    @property
    def fn(self) -> Command:  # type: ignore[override]  # made when it is asked for
        """What runs."""
        body: Command = self._pattern.fn
        return replace(body, args=self.line)

    @property
    def given_version(self) -> object:  # type: ignore[override]  # as above
        """The version as its author gave it."""
        version: object = self._pattern.given_version
        return version

    def accepts(self, value: Any) -> bool:
        """Return whether a recorded end is a success."""
        return bool(self._pattern.accepts(value))

    def __reduce__(self) -> tuple[Any, ...]:
        return self.whole().__reduce__()


class Patterns:
    """Makes the tasks of commands, with one pattern for each set of options."""

    def __init__(self) -> None:
        self._patterns: dict[str, CommandTask] = {}

    def task_like(self, settings: str, line: list[Any], name: str) -> CommandTask | None:
        """Return the task of a program and its arguments, or of a line and its own, if these settings are known.

        Raises `OptionError`.
        """
        pattern = self._patterns.get(settings)
        if pattern is None:
            return None
        if pattern.fn.script:
            line = [pattern.fn.args[0], "-c", line[0], "sh", *line[1:]]
        return LineTask(pattern, checked_line(line), name)

    def new(
        self, settings: str, line: list[Any], name: str, options: Mapping[str, Any], *, script: bool
    ) -> CommandTask:
        """Return the task of a command as a whole, which is the pattern for its settings. Raises `OptionError`."""
        made: Any = (shell if script else command)(*line, name=name, **options)
        self._patterns[settings] = made
        return made  # type: ignore[no-any-return]  # a task of a command
