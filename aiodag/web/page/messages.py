"""The page of messages and dead letters."""

from aiodag.web.fastapi import APIRouter

messages_pages = APIRouter()
