"""The keys of a jobs form: which there are, where, and what people who know other programs write. `jobs-schema.json` says the same."""

from collections.abc import Mapping

from aiodag._core.rules import NAMES

KINDS = ("run", "bash", "uses", "trigger", "foreach", "parallel", "case", "until", "raise", "sleep", "echo")

WORKFLOW_KEYS = (
    "$schema", "type", "name", "description", "desc", "on", "params", "env", "secrets", "concurrency", "tags", "limit", "hosts", "default-host",
    "jobs",
)  # fmt: skip
JOB_KEYS = (
    "name", "description", "desc", "needs", "if", "trigger-rule", "runs-on", "strategy", "env", "outputs", "timeout",
    "timeout-minutes", "retry", "continue-on-error", "stages",
)  # fmt: skip
STRATEGY_KEYS = ("matrix", "include", "exclude", "max-parallel", "fail-fast")
STAGE_KEYS = (
    "name", "id", "description", "desc", "if", "env", "timeout", "timeout-minutes", "retry", "continue-on-error", "always",
)  # fmt: skip
PROGRAM = ("shell", "workdir", "working-directory")
KIND_KEYS: Mapping[str, tuple[str, ...]] = {
    "run": ("run", "vars", *PROGRAM),
    "bash": ("bash", *PROGRAM),
    "uses": ("uses", "with"),
    "trigger": ("trigger", "params"),
    "foreach": ("foreach", "stages", "concurrent", "fail-fast"),
    "parallel": ("parallel", "max-workers", "fail-fast"),
    "case": ("case", "match", "skip-not-match"),
    "until": ("until", "item", "stages", "max-loop"),
    "raise": ("raise",),
    "sleep": ("sleep",),
    "echo": ("echo", "sleep"),
    "empty": (),
}
MATCH_KEYS = ("case", "stages")
RETRY_KEYS = ("retries", "max-attempts", "backoff", "delay", "factor", "maximum")
CONCURRENCY_KEYS = ("group", "cancel-in-progress")
TRIGGER_KEYS_OF_FILES = (
    "name", "cron", "cronjob", "timezone", "tz", "every", "interval", "anchor", "at", "once", "moments", "start", "end",
    "exclude", "overlap", "catch-up", "jitter", "grace", "params", "queue", "priority", "retries", "paused",
)  # fmt: skip
MOMENTS_OF = ("cron", "cronjob", "every", "interval", "at", "once", "moments")  # keys that say when: one of them
RULES_OF_JOBS = NAMES

# What other programs call it, and what to write here.
FOREIGN_TOP: Mapping[str, str] = {
    "defaults": "write shell and workdir in each stage",
    "permissions": "a run has those of the user who runs it: leave it out",
    "run-name": "a run has an id and a name: write name",
    "inputs": "write params",
    "parameters": "write params",
    "variables": "write env",
    "schedule": "write on",
    "triggers": "write on",
    "tasks": "a file has jobs or tasks, and not both",
    "steps": "write jobs, with stages in each",
    "stages": "write jobs, with stages in each",
}
FOREIGN_JOB: Mapping[str, str] = {
    "steps": "write stages",
    "id": "the key of the job is its id",
    "depends_on": "write needs",
    "depends-on": "write needs",
    "container": "stages run on this machine: start the container in a bash stage",
    "services": "stages run on this machine: start the service in a stage",
    "defaults": "write shell and workdir in each stage",
    "permissions": "a run has those of the user who runs it: leave it out",
    "environment": "write env",
    "concurrency": "write it at the top, for the whole workflow",
    "uses": "write a stage with trigger, which runs another workflow",
    "with": "write a stage with trigger and params",
    "secrets": "write it at the top, for the whole workflow",
    "matrix": "write strategy: {matrix: ...}",
    "max-parallel": "write it under strategy",
    "fail-fast": "write it under strategy",
    "retries": "write retry",
}
FOREIGN_STAGE: Mapping[str, str] = {
    "stage": "a stage has a name, and one of the kinds",
    "environment": "write env",
    "retries": "write retry",
    "python": "write run",
    "py": "write run",
    "shell": "write bash: followed by the commands",
    "script": "write bash, or run for Python",
    "command": "write bash",
    "cmd": "write bash",
    "task": "write uses, with the name of a registered function",
    "call": "write uses, with the name of a registered function",
    "hook": "write uses, with the name of a registered function",
    "needs": "stages run one after the other; jobs have needs",
    "parallel": "write parallel: with branches, each a list of stages",
    "for-each": "write foreach",
    "workflow": "write trigger",
    "log": "write echo",
    "wait": "write sleep",
    "error": "write raise",
}
