"""The page on which a run is edited and resumed: what was planned is what can be confirmed."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiodag.complaint import Complaint
from aiodag.errors import AiodagError
from aiodag.service.posted import document_of_text
from aiodag.web.access import Operator, Reader
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Request, Response
from aiodag.web.forms import form_sent
from aiodag.web.page.rendering import render, see_other
from aiodag.web.page.resuming import (
    Conflict,
    Editor,
    Preview,
    conflict_of,
    is_same_definition,
    names_typed,
    open_editor,
    preview_of,
    refusal_of_state,
    seal_of_edit,
)
from aiodag.web.paths import RunId, path_part
from aiodag.web.problems import problem_of
from aiodag.web.visits import remark

editing_pages = APIRouter()
BUSY, MISSING = 503, 404
LONGEST_NUMBER = 10  # digits of an execution


class Edit(NamedTuple):
    """What somebody wants of a run: `text` is None where it has no definition to edit, and `changed` what is another one in it."""

    text: str | None
    again: list[str]
    queue: str
    seal: str
    is_changed: bool
    execution: int


class Finding(NamedTuple):
    """What the page says of an edit: its plan, or what is wrong with it."""

    preview: Preview | None = None
    complaints: Sequence[Complaint] = ()
    conflict: Conflict | None = None
    status: int = 200
    says: str = ""


@editing_pages.get("/runs/{run_id}/edit")
async def open_edit(request: Request, desk: AtDesk, _: Reader, run_id: RunId) -> Response:
    """Answer with the definition of a run, to be edited."""
    return await desk.ask(write_edit, request, desk, run_id)


def write_edit(request: Request, desk: Desk, run_id: str) -> Response:
    """Return the page on which a run is edited, as it is recorded."""
    editor = open_editor(desk.service, run_id)
    refusal = refusal_of_state(editor.run)
    return edit_page(request, desk, editor, {}, Finding(complaints=[Complaint("", refusal)] if refusal else ()))


@editing_pages.post("/runs/{run_id}/edit")
async def edit_run(request: Request, desk: AtDesk, _: Operator, run_id: RunId) -> Response:
    """Show what resuming a run with an edited definition would do, or do that once it was seen."""
    typed = await form_sent(request)
    return await desk.think(edit_as_typed, request, desk, run_id, typed)


def edit_as_typed(request: Request, desk: Desk, run_id: str, typed: Mapping[str, str]) -> Response:
    """Resume a run as was planned, or return the page with the plan, or with what is wrong."""
    editor = open_editor(desk.service, run_id)
    edit = edit_typed(editor, typed)
    finding = obstacle_of(desk, editor, typed)
    if finding is None and typed.get("step") == "resume" and typed.get("seal") == edit.seal:
        remark(request, step="resume", edited="yes" if edit.is_changed else "no", again=edit.again)
        finding = resume_as_planned(desk, run_id, edit)
        if finding is None:
            return see_other(request, f"/runs/{path_part(run_id)}", "resumed")
    if finding is None:
        remark(request, step="plan")
        finding = plan_of_edit(desk, editor, edit, typed)
    return edit_page(request, desk, editor, typed, finding)


def edit_typed(editor: Editor, typed: Mapping[str, str]) -> Edit:
    """Return what a form says of how a run is to go on."""
    text = typed.get("definition") if editor.text is not None else None
    again = names_typed(typed.get("again", ""))
    is_changed = text is not None and not is_same_definition(text, editor.text or "")
    seal = seal_of_edit(text, again, editor.base, editor.run.execution)
    return Edit(text, again, typed.get("queue", "").strip(), seal, is_changed, editor.run.execution)


def obstacle_of(desk: Desk, editor: Editor, typed: Mapping[str, str]) -> Finding | None:
    """Return why a run cannot be resumed now: somebody else was first, or it goes on."""
    seen = typed.get("execution", "")
    execution = int(seen) if seen.isdecimal() and len(seen) <= LONGEST_NUMBER else 0
    conflict = conflict_of(desk.service, editor, typed.get("base", ""), execution)
    refusal = refusal_of_state(editor.run)
    if conflict is None and not refusal:
        return None
    return Finding(complaints=[Complaint("", refusal)] if refusal else (), conflict=conflict, status=409)


def resume_as_planned(desk: Desk, run_id: str, edit: Edit) -> Finding | None:
    """Queue a run again; return what is wrong, if something is."""
    try:
        desk.intake.requeue(
            run_id,
            definition=edit.text if edit.is_changed else None,
            again=edit.again,
            execution=edit.execution,
            queue=edit.queue or None,
        )
    except AiodagError as error:
        return finding_of_error(error, desk)
    return None


def plan_of_edit(desk: Desk, editor: Editor, edit: Edit, typed: Mapping[str, str]) -> Finding:
    """Return what resuming would do, or what is wrong with the edit."""
    try:
        plan = desk.intake.plan(editor.run.id, definition=edit.text if edit.is_changed else None, again=edit.again)
        edited = json.dumps(document_of_text(edit.text).document) if edit.is_changed and edit.text is not None else None
    except AiodagError as error:
        return finding_of_error(error, desk)
    preview = preview_of(desk.service, editor.run.id, plan, edited, edit.again)
    was_other = typed.get("step") == "resume"
    says = "It is not what was planned before: this is what it would do now." if was_other else ""
    return Finding(preview, says=says)


def finding_of_error(error: AiodagError, desk: Desk) -> Finding:
    """Return what is wrong with an edit; what has nothing to do with it is raised."""
    problem = problem_of(error, desk.service.place)
    if problem is None or problem.status == BUSY:
        raise error
    status = 422 if problem.status == MISSING else problem.status  # no node of a name, not no run
    return Finding(complaints=problem.complaints or [Complaint("", problem.detail)], status=status)


def edit_page(request: Request, desk: Desk, editor: Editor, typed: Mapping[str, str], finding: Finding) -> Response:
    """Return the page on which a run is edited, with what was typed and what was found."""
    edit = edit_typed(editor, typed)
    return render(
        request,
        "edit.html",
        title=f"Edit and resume {editor.run.id}",
        section="runs",
        status=finding.status,
        editor=editor,
        text=editor.text if edit.text is None else edit.text,
        edit=edit,
        again=typed.get("again", ""),
        finding=finding,
        queues=[each.name for each in desk.service.queues()],
    )
