"""The pages of schedules."""

from aiodag.web.fastapi import APIRouter

schedules_pages = APIRouter()
