"""Queues, and the workers that take runs from them."""

from aiodag.web.fastapi import APIRouter

queues_api = APIRouter(tags=["queues"])
