"""Digests of stages and jobs: of what they do as it is written, and neither of where they stand nor of how often they are tried."""

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from aiodag.workflows.jobs.model import Stage

IDLE = frozenset({
    "name", "id", "description", "desc", "if", "timeout", "timeout-minutes", "retry", "continue-on-error", "always",
    "max-workers", "concurrent", "max-loop", "max-parallel", "stages", "parallel", "match",
})  # fmt: skip
DECIDING = ("if", "always", "continue-on-error")  # of a stage: what its job asks before and after it


def digest_of(*what: object) -> str:
    """Return a digest of plain values."""
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=repr)
    return blake2b(text.encode(), digest_size=12).hexdigest()


def stage_digest(kind: str, form: Mapping[str, Any], bodies: Mapping[str, Iterable[tuple[Stage, Any]]]) -> str:
    """Return the digest of a stage, with those of the stages inside it."""
    does = {key: value for key, value in form.items() if key not in IDLE}
    inside = {name: [inner_text(*each) for each in body] for name, body in bodies.items()}
    return digest_of(kind, does, inside, list(inside) if kind == "parallel" else ())


def inner_text(stage: Stage, form: Any) -> list[Any]:
    """Return what a list of stages has of one of them."""
    return [stage.id, stage.digest, *(form.get(key) for key in DECIDING)]


def job_digest(form: Mapping[str, Any], stages: Iterable[tuple[Stage, Any]]) -> str:
    """Return the digest of a job: of its stages, and of all that decides which of them run, and with what."""
    keys = ("needs", "if", "trigger-rule", "env", "outputs")
    strategy = form.get("strategy")
    matrix = (
        {key: strategy.get(key) for key in ("matrix", "include", "exclude")} if isinstance(strategy, dict) else None
    )
    return digest_of({key: form.get(key) for key in keys}, matrix, [inner_text(*each) for each in stages])
