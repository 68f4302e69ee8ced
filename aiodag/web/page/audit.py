"""The page of who has changed what."""

from aiodag.web.fastapi import APIRouter

audit_pages = APIRouter()
