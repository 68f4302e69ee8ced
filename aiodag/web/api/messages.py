"""Messages, topics, and what runs wait for."""

from aiodag.web.fastapi import APIRouter

messages_api = APIRouter(tags=["messages"])
