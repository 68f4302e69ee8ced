"""Settings for people: what each is, and where it comes from."""

import json
import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, NamedTuple

from aiodag.service.serve_options import SERVE_KEYS
from aiodag.service.settings import CONFIG, READERS, SERVE, TABLES, settings, variable_of
from aiodag.wording import hide_password, printable

# The variables of ddeutil-workflow, and what to set or to do in their place.
VARIABLES_ELSEWHERE = MappingProxyType(
    {
        "WORKFLOW_ROOT_PATH": f"the directory of aiodag.toml, or {CONFIG}",
        "WORKFLOW_CORE_REGISTRY": "AIODAG_REGISTRY",
        "WORKFLOW_CORE_REGISTRY_FILTER": "AIODAG_REGISTRY_FILTERS",
        "WORKFLOW_CORE_PATH_CONF": "AIODAG_CONF",
        "WORKFLOW_CORE_TIMEZONE": "AIODAG_TIMEZONE",
        "WORKFLOW_CORE_STAGE_DEFAULT_ID": "always so: each stage has an id",
        "WORKFLOW_CORE_STAGE_RAISE_ERROR": "always so, but for stages with continue-on-error",
        "WORKFLOW_CORE_MAX_PIPELINE_POKING": "AIODAG_LIMIT",
        "WORKFLOW_CORE_MAX_JOB_PARALLEL": "limit in the workflow file, or aiodag run --limit",
        "WORKFLOW_LOG_ENABLE_WRITE": "always so, but with --store memory:",
        "WORKFLOW_APP_PROCESS_WORKER": "as many aiodag worker as you start",
        "WORKFLOW_APP_PIPELINE_PER_PROCESS": "AIODAG_LIMIT",
        "WORKFLOW_API_DB_URL": "AIODAG_STORE",
    }
)


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
        if isinstance(self.value, dict):
            return printable(json.dumps(self.value, ensure_ascii=False))
        return ", ".join(map(str, self.value)) if isinstance(self.value, tuple) else str(self.value)


def setting_rows(options: Mapping[str, str | None]) -> Iterator[SettingRow]:
    """Give each setting; one for which an option was typed comes from there. No password is shown. Raises `SettingsError`.

    >>> [(row.text, row.origin) for row in setting_rows({"store": "runs.db"})][:2]
    [('runs.db', '--store'), ('UTC', 'default')]
    """
    found = settings()
    for name in READERS:
        setting, option = getattr(found, name), options.get(name)
        value = setting.value if option is None else option
        yield SettingRow(
            name, hide_password(value) if name == "store" else value, setting.origin if option is None else f"--{name}"
        )
    for table in TABLES:
        for name, setting in getattr(found, table).items():
            yield SettingRow(f"{table}.{name}", setting.value, setting.origin)


def unread_variables() -> Iterator[tuple[str, str]]:
    """Give the variables of the environment that nothing reads, each with what was meant: misspelled ones, and ddeutil-workflow's.

    >>> os.environ["AIODAG_REGISTY"] = "etl.tasks"
    >>> os.environ["WORKFLOW_CORE_TIMEZONE"] = "Asia/Bangkok"
    >>> for name, hint in unread_variables():
    ...     print(name, hint)
    AIODAG_REGISTY did you mean AIODAG_REGISTRY?
    WORKFLOW_CORE_TIMEZONE here it is AIODAG_TIMEZONE
    """
    known = [CONFIG, "AIODAG_TOKEN", *map(variable_of, READERS), *(variable_of(f"{SERVE}_{key}") for key in SERVE_KEYS)]
    for name in sorted(os.environ):
        if name in VARIABLES_ELSEWHERE:
            yield name, f"here it is {VARIABLES_ELSEWHERE[name]}"
        elif name.startswith("AIODAG_") and name not in known and len(name) < 100:
            for near in get_close_matches(name, known, 1, 0.85):
                yield name, f"did you mean {near}?"
