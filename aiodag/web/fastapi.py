"""FastAPI, and what it is made of: the one file that imports it for the server. The extra `web`."""

from aiodag.errors import MissingExtra

try:
    from fastapi import APIRouter as APIRouter
    from fastapi import Depends as Depends
    from fastapi import FastAPI as FastAPI
    from fastapi import Header as Header
    from fastapi import HTTPException as HTTPException
    from fastapi import Path as Path
    from fastapi import Query as Query
    from fastapi.exceptions import RequestValidationError as RequestValidationError
    from fastapi.routing import APIRoute as APIRoute
    from starlette import exceptions as exceptions
    from starlette.middleware.gzip import GZipMiddleware as GZipMiddleware
    from starlette.requests import ClientDisconnect as ClientDisconnect
    from starlette.requests import Request as Request
    from starlette.responses import HTMLResponse as HTMLResponse
    from starlette.responses import RedirectResponse as RedirectResponse
    from starlette.responses import Response as Response
    from starlette.responses import StreamingResponse as StreamingResponse
    from starlette.routing import Match as Match
    from starlette.types import ASGIApp as ASGIApp
    from starlette.types import Message as Message
    from starlette.types import Receive as Receive
    from starlette.types import Scope as Scope
    from starlette.types import Send as Send
except ImportError as error:
    raise MissingExtra("aiodag serve", "fastapi", "web") from error
