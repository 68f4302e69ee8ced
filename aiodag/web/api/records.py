"""Records as they are stored, for a `Service` on another machine."""

from aiodag.web.fastapi import APIRouter

records_api = APIRouter(tags=["records"])
