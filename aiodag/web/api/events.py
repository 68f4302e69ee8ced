"""What happens, as a stream."""

from aiodag.web.fastapi import APIRouter

events_api = APIRouter(tags=["events"])
