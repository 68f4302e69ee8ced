"""Who has changed what."""

from aiodag.web.fastapi import APIRouter

audit_api = APIRouter(tags=["audit"])
