"""Messages, topics, and what runs wait for."""

from typing import Annotated, Any, Literal

from aiodag.service.documents import delivered_document, message_documents, topic_documents, wait_documents
from aiodag.web.access import Reader
from aiodag.web.answers import json_answer
from aiodag.web.bodies import RequestBody, body_of, takes
from aiodag.web.desk import AtDesk
from aiodag.web.fastapi import APIRouter, Query, Request, Response
from aiodag.web.kept_schemas import DeliveredAnswer, MessageAnswer, TopicAnswer
from aiodag.web.listings import PAGE_LARGEST, ListQuery, Word
from aiodag.web.paths import AnyName
from aiodag.web.pydantic import Field
from aiodag.web.schemas import WaitAnswer
from aiodag.web.visits import remark

messages_api = APIRouter(tags=["messages"])


class MessageForm(RequestBody):
    """A message: the keys of those whom it is for, and what it says, plain JSON. The same `id` again is delivered to nobody.

    `ttl` is for how many seconds it is kept if nobody waits, and `dedup` for how many its id is remembered.
    """

    key: str | list[str] = ""
    payload: Any = None
    id: str | None = None
    to: Literal["one", "all"] = "one"
    ttl: float | None = None
    dedup: float | None = None
    headers: dict[str, str] | None = None
    strict: bool = Field(default=False, description="Refuse a topic that nobody waits for.")


class RedeliveryForm(RequestBody):
    """Which dead letter is delivered again."""

    id: str


class MessageQuery(ListQuery):
    """Which messages are wanted."""

    topic: Word | None = Field(None, description="Only those on this topic.")
    state: Literal["kept", "taken", "started", "dead"] | None = Field(None, description="Only those in this state.")
    limit: int = Field(100, ge=1, le=PAGE_LARGEST, description="The newest ones: at most so many.")


class WaitQuery(ListQuery):
    """Which waits are wanted."""

    topic: Word | None = Field(None, description="Only those for this topic.")
    limit: int = Field(100, ge=1, le=PAGE_LARGEST, description="The oldest ones: at most so many.")


@messages_api.get("/messages", operation_id="messages", response_model=list[MessageAnswer])
async def answer_messages(desk: AtDesk, _: Reader, query: Annotated[MessageQuery, Query()]) -> Response:
    """Return the newest messages that are remembered, oldest first. Those in state "dead" were for nobody, or could not be read."""
    found = await desk.ask(desk.service.messages, query.topic, state=query.state, limit=query.limit)
    return json_answer(message_documents(found))


@messages_api.post(
    "/messages/{name}", operation_id="deliver", openapi_extra=takes(MessageForm), response_model=DeliveredAnswer
)
async def deliver_one(
    name: AnyName, form: Annotated[MessageForm, body_of(MessageForm)], request: Request, desk: AtDesk
) -> Response:
    """Deliver a message on a topic to the run that waits for it, and return what became of it."""
    remark(request, key=form.key, id=form.id)
    given = form.model_dump(exclude={"key", "payload"})
    delivered = await desk.ask(desk.service.deliver, name, form.key, form.payload, **given)
    return json_answer(delivered_document(name, delivered))


@messages_api.post(
    "/messages/{name}/redeliver",
    operation_id="redeliver",
    openapi_extra=takes(RedeliveryForm),
    response_model=DeliveredAnswer,
)
async def redeliver_one(
    name: AnyName, form: Annotated[RedeliveryForm, body_of(RedeliveryForm)], request: Request, desk: AtDesk
) -> Response:
    """Deliver a dead letter of a topic again, and return what became of it."""
    remark(request, id=form.id)
    return json_answer(delivered_document(name, await desk.ask(desk.service.redeliver, name, form.id)))


@messages_api.get("/topics", operation_id="topics", response_model=list[TopicAnswer])
async def answer_topics(desk: AtDesk, _: Reader) -> Response:
    """Return the topics that somebody waits for, that have messages, or that begin runs."""
    return json_answer(topic_documents(await desk.ask(desk.service.topics)))


@messages_api.get("/waits", operation_id="waits", response_model=list[WaitAnswer])
async def answer_waits(desk: AtDesk, _: Reader, query: Annotated[WaitQuery, Query()]) -> Response:
    """Return what runs wait for, the oldest first."""
    return json_answer(wait_documents(await desk.ask(desk.service.waits, topic=query.topic, limit=query.limit)))
