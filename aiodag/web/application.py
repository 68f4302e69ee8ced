"""The application: all routes, and what stands before them."""

from functools import cache
from typing import Any

from aiodag.installed import versions
from aiodag.service import Service
from aiodag.service.serve_options import ServeOptions
from aiodag.web.access import guard_application
from aiodag.web.api.audit import audit_api
from aiodag.web.api.beginning import beginning_api
from aiodag.web.api.events import events_api
from aiodag.web.api.graphs import graphs_api
from aiodag.web.api.messages import messages_api
from aiodag.web.api.queues import queues_api
from aiodag.web.api.records import records_api
from aiodag.web.api.removals import removals_api
from aiodag.web.api.run import run_api
from aiodag.web.api.runs import runs_api
from aiodag.web.api.schedules import schedules_api
from aiodag.web.api.workflows import workflows_api
from aiodag.web.counting import CountedRequests, NotedRoute
from aiodag.web.desk import Desk
from aiodag.web.fastapi import ASGIApp, FastAPI
from aiodag.web.gate import RequestGate
from aiodag.web.health import health_routes
from aiodag.web.metrics import metrics_routes
from aiodag.web.page.audit import audit_pages
from aiodag.web.page.editing import editing_pages
from aiodag.web.page.login import login_routes
from aiodag.web.page.messages import messages_pages
from aiodag.web.page.node import node_pages
from aiodag.web.page.problem_pages import PAGE_HANDLERS
from aiodag.web.page.queues import queues_pages
from aiodag.web.page.reference import reference_pages
from aiodag.web.page.run import run_pages
from aiodag.web.page.runs import runs_pages
from aiodag.web.page.schedules import schedules_pages
from aiodag.web.page.static import static_routes
from aiodag.web.page.workflows import workflows_pages
from aiodag.web.paths import PREFIX
from aiodag.web.tracing import TracedRequests

# In this order: the first route that fits is taken.
API = (
    runs_api,
    beginning_api,
    run_api,
    graphs_api,
    events_api,
    workflows_api,
    schedules_api,
    queues_api,
    messages_api,
    audit_api,
    records_api,
    removals_api,
)
OUTSIDE = (health_routes, metrics_routes, login_routes, static_routes)
PAGES = (
    runs_pages,
    run_pages,
    node_pages,
    editing_pages,
    workflows_pages,
    schedules_pages,
    queues_pages,
    messages_pages,
    audit_pages,
    reference_pages,
)


def build_application(service: Service, options: ServeOptions, spans: Any = None) -> ASGIApp:
    """Return the application that serves what a service has. `spans` are those of `service.tracing`, if requests are traced."""
    desk = Desk(service, options)
    guarded = guard_application(NotedRoute(build_routes()), desk)
    gate = RequestGate(guarded, desk)
    return CountedRequests(gate if spans is None else TracedRequests(gate, spans), desk)


@cache
def build_routes() -> FastAPI:
    """Return all routes, without what stands before them: the same for each server of this process."""
    application = FastAPI(
        title="aiodag",
        version=versions()["aiodag"],
        docs_url=None,  # FastAPI's own pages load from another host
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # its own, in which secrets are not masked
        exception_handlers=dict(PAGE_HANDLERS),
    )
    for router in API:
        application.include_router(router, prefix=PREFIX)
    for router in OUTSIDE:
        application.include_router(router)
    for router in PAGES:
        application.include_router(router, include_in_schema=False)
    return application
