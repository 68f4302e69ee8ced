"""Settings for people: what each is, and where it comes from."""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from aiodag.service.settings import CONFIG, READERS, settings, variable_of
from aiodag.wording import hide_password


class SettingRow(NamedTuple):
    """A setting by name, its value, and where that comes from."""

    name: str
    value: Any
    origin: str

    @property
    def text(self) -> str:
        """The value in one line."""
        if self.value is None:
            return "-"
        return ", ".join(map(str, self.value)) if isinstance(self.value, tuple) else str(self.value)


def setting_rows(options: Mapping[str, str | None]) -> Iterator[SettingRow]:
    """Give each setting; one for which an option was typed comes from there. No password is shown. Raises `SettingsError`.

    >>> [(row.text, row.origin) for row in setting_rows({"store": "runs.db"})][:2]
    [('runs.db', '--store'), ('UTC', 'default')]
    """
    for name, setting in settings()._asdict().items():
        option = options.get(name)
        value = setting.value if option is None else option
        yield SettingRow(
            name, hide_password(value) if name == "store" else value, setting.origin if option is None else f"--{name}"
        )


def misspelled_variables() -> Iterator[tuple[str, str]]:
    """Give the variables of the environment that nearly are ours, each with the one that was meant.

    >>> os.environ["AIODAG_REGISTY"] = "etl.tasks"
    >>> list(misspelled_variables())
    [('AIODAG_REGISTY', 'AIODAG_REGISTRY')]
    """
    known = [CONFIG, *map(variable_of, READERS)]
    for name in sorted(os.environ):
        if name.startswith("AIODAG_") and name not in known and len(name) < 100:
            for near in get_close_matches(name, known, 1, 0.85):
                yield name, near
