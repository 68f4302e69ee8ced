"""Schedules, what became of their moments, and backfills."""

from aiodag.web.fastapi import APIRouter

schedules_api = APIRouter(tags=["schedules"])
