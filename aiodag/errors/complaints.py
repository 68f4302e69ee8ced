"""What is wrong with what people have written: workflows, expressions, settings, triggers."""

from collections.abc import Iterable, Sequence

from aiodag.complaint import Complaint
from aiodag.errors.root import AiodagError

ALIKE = 20  # complaints that say the same, of which a message has each


class EntryError(AiodagError, ValueError):
    """Raised when no run can begin with a given file, task or arguments.

    >>> from aiodag.service import Service
    >>> Service("memory:").target("gone.py")
    Traceback (most recent call last):
    aiodag.EntryError: gone.py: no such file. Give FILE.py or FILE.py:TASK
    """


class WorkflowError(AiodagError, ValueError):
    """Raised for a workflow with faults: all of them at once, a line each.

    `complaints` holds a `Complaint` for each.

    >>> from aiodag import WorkflowError
    >>> from aiodag.workflows import loads
    >>> try:
    ...     flow = loads('{"tasks": {"pull": {"comand": ["ls"], "retries": -1}}}', "etl.json")
    ... except WorkflowError as error:
    ...     print(len(error.complaints), "complaints, the first:", error.complaints[0])
    2 complaints, the first: etl.json:1 $.tasks.pull.comand: is a key that is not known here; did you mean 'command'?
    """

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(complaint_lines(self.complaints)))


def complaint_lines(complaints: Iterable[Complaint]) -> list[str]:
    """Return a line for each complaint; of very many that say the same, the first, and how many others there are."""
    lines: list[str] = []
    told: dict[str, int] = {}
    for each in complaints:
        told[each.text] = told.get(each.text, 0) + 1
        if told[each.text] <= ALIKE:
            lines.append(str(each))
    return lines + [f"{count - ALIKE:,} more: {text}" for text, count in told.items() if count > ALIKE]


class DefinitionRefused(AiodagError):
    """Raised for a definition that is handed to a server which runs registered workflows alone.

    >>> from aiodag.service.narrowing import Narrowing
    >>> Narrowing(only_registered=True).refuse_any()
    Traceback (most recent call last):
    aiodag.DefinitionRefused: this server takes no definitions, only names of workflows that are registered ...
    """

    def __init__(self) -> None:
        super().__init__(
            "this server takes no definitions, only names of workflows that are registered (--only-registered)"
        )


class PlanFailed(AiodagError):
    """Raised when a server cannot think code through: it takes too long, ends its process, or says too much.

    >>> from aiodag import PlanFailed
    >>> PlanFailed("it took longer than 30 s")
    PlanFailed('it took longer than 30 s')
    """


class PlanningBusy(PlanFailed):
    """Raised when a server thinks through as much code as it may at once: it can be asked again.

    >>> from aiodag import PlanningBusy
    >>> PlanningBusy("2 definitions are being checked")
    PlanningBusy('2 definitions are being checked')
    """


class ExpressionError(AiodagError, ValueError):
    """Raised when an expression of a workflow file, a template or a condition, has no value.

    `expression` is what was written, `reason` what is wrong, `place` where it stands: "" until somebody says so with `at`.

    >>> from aiodag import ExpressionError
    >>> raise ExpressionError("${{ 1 / 0 }}", "nothing can be divided by 0").at("etl.yaml:7 $.jobs.load.stages[0].with.url")
    Traceback (most recent call last):
    aiodag.ExpressionError: etl.yaml:7 $.jobs.load.stages[0].with.url: ${{ 1 / 0 }}: nothing can be divided by 0
    """

    def __init__(self, expression: str, reason: str, place: str = "") -> None:
        self.expression = expression
        self.reason = reason
        self.place = place
        super().__init__(": ".join(filter(None, (place, expression, reason))))

    def at(self, place: str) -> "ExpressionError":
        """Return the same error with the place where the expression stands, unless it has one already."""
        return ExpressionError(self.expression, self.reason, self.place or place)


class SettingsError(AiodagError, ValueError):
    """Raised for settings that cannot be read, in the environment or in a file: all that is wrong at once, a line each.

    `complaints` holds a `Complaint` for each.

    >>> from pathlib import Path
    >>> from aiodag import SettingsError
    >>> from aiodag.service import Service
    >>> size = Path("aiodag.toml").write_text('stor = "runs.db"')
    >>> try:
    ...     Service()
    ... except SettingsError as error:
    ...     print(error.complaints[0].text)
    stor: is a key that is not known here; did you mean store?
    """

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(map(str, self.complaints)))


class TriggerError(AiodagError, ValueError):
    """Raised for a trigger that cannot be read or never fires, and for moments that it cannot go on from.

    `faults` holds a text for each thing that is wrong.

    >>> from aiodag.schedules import Cron
    >>> Cron("60 9 * * FOO")
    Traceback (most recent call last):
    aiodag.TriggerError: cron '60 9 * * FOO': minute '60': 0 to 59; day-of-week 'FOO': 0 to 7 or SUN to SAT
    """

    def __init__(self, what: str, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        more = [f"and {len(self.faults) - ALIKE:,} more"] if len(self.faults) > ALIKE else []
        super().__init__(f"{what}: {'; '.join([*self.faults[:ALIKE], *more])}")
