"""Who may do what."""

from typing import Annotated, Any

from aiodag.access import Caller, Role
from aiodag.web.fastapi import ASGIApp, Depends


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
