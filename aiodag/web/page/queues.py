"""The pages of queues and workers."""

from aiodag.web.fastapi import APIRouter

queues_pages = APIRouter()
