"""The page of messages: topics, who waits for what, and dead letters, which can be delivered again."""

from collections.abc import Mapping
from typing import Annotated

from aiodag.complaint import Complaint
from aiodag.errors import AiodagError, NotFound, StoreUnreachable
from aiodag.service.delivering import typed_payload
from aiodag.service.messages import MESSAGE_STATES
from aiodag.web.access import Operator, Reader
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Query, Request, Response
from aiodag.web.forms import form_sent
from aiodag.web.page.message_views import view_mail
from aiodag.web.page.rendering import render, see_other
from aiodag.web.page.searching import SearchText

messages_pages = APIRouter()
OneOfStates = Annotated[str, Query(pattern=f"^({'|'.join(MESSAGE_STATES)})?$")]


@messages_pages.get("/messages")
async def open_messages(
    request: Request, desk: AtDesk, _: Reader, topic: SearchText = "", state: OneOfStates = ""
) -> Response:
    """Answer with the page of messages."""
    return await desk.ask(write_messages, request, desk, topic, state)


def write_messages(
    request: Request,
    desk: Desk,
    topic: str = "",
    state: str = "",
    typed: Mapping[str, str] | None = None,
    wrong: str = "",
    status: int = 200,
) -> Response:
    """Return the page of messages, with the form that delivers one."""
    mail = view_mail(desk.service, topic or None, state or None)
    words = {"mail": mail, "topic": topic, "state": state, "states": MESSAGE_STATES, "typed": typed or {}}
    complaints = [Complaint("", wrong)] if wrong else []
    return render(
        request, "messages.html", title="Messages", section="messages", status=status, complaints=complaints, **words
    )


@messages_pages.post("/messages")
async def deliver_typed(request: Request, desk: AtDesk, _: Operator) -> Response:
    """Deliver a message as a form says."""
    typed = await form_sent(request)
    return await desk.ask(deliver_as_typed, request, desk, typed)


def deliver_as_typed(request: Request, desk: Desk, typed: Mapping[str, str]) -> Response:
    """Deliver what a form says, or answer with what is wrong in it."""
    topic = typed.get("topic", "").strip()
    try:
        payload = typed_payload(typed.get("payload", "").strip() or "null")
        delivered = desk.service.deliver(topic, typed.get("key", ""), payload, id=typed.get("id", "").strip() or None)
    except StoreUnreachable:
        raise
    except (AiodagError, ValueError) as error:
        return write_messages(request, desk, typed=typed, wrong=str(error), status=422)
    return see_other(request, "/messages", f"message-{delivered.outcome}")


@messages_pages.post("/messages/redeliver")
async def redeliver_typed(request: Request, desk: AtDesk, _: Operator) -> Response:
    """Deliver a dead letter again."""
    typed = await form_sent(request)
    topic, message_id = typed.get("topic", ""), typed.get("id", "")
    if not topic or not message_id:
        raise NotFound("a dead letter is known by its topic and its id, and one of them is missing")
    delivered = await desk.ask(desk.service.redeliver, topic, message_id)
    return see_other(request, "/messages", f"message-{delivered.outcome}")
