"""How a browser comes in, and leaves."""

from aiodag.web.fastapi import APIRouter

login_routes = APIRouter(include_in_schema=False)
