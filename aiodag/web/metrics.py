"""Numbers for Prometheus."""

from aiodag.web.fastapi import APIRouter

metrics_routes = APIRouter(tags=["server"])
