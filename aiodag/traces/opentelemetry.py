"""Show runs in OpenTelemetry: a span for each run and each attempt, with links for the edges.

Importing this file asks for the package `opentelemetry-api`. Where spans go is yours to say, with the SDK of your choice.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from threading import Thread
from traceback import format_exception
from typing import Any
from weakref import WeakKeyDictionary

from aiodag._core.context import current_node
from aiodag._core.deadlock import needs
from aiodag._core.failure import exception_line
from aiodag._core.node import Node
from aiodag._core.run import Run
from aiodag.abc import Move
from aiodag.errors import MissingExtra
from aiodag.masking import masked
from aiodag.states import State
from aiodag.traces.exporters import exporters_named

try:
    from opentelemetry import context, propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, ProxyTracerProvider, Span, SpanContext, SpanKind, StatusCode, TracerProvider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise MissingExtra("aiodag.traces.opentelemetry", "opentelemetry-api", "otel") from error

NOWHERE = Context()
TRACEPARENT = "traceparent"  # the tag of a run that names the span of who has submitted it
PROPAGATOR = TraceContextTextMapPropagator()

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
FAULT = 500  # the first status that is a fault of the server

log = logging.getLogger("aiodag.traces")


class Track:
    """What is kept of a node: no other node, and once it has settled little more than the span to link to."""

    __slots__ = ("last", "offset", "parent", "since", "span", "upstream", "waited")

    def __init__(self, parent: Context, upstream: "list[Track]", offset: int, since: float) -> None:
        self.parent = parent  # of the call
        self.upstream = upstream
        self.offset = offset  # nanoseconds from the loop's clock to the time of day
        self.since = since  # of the last move, on the loop's clock
        self.waited = 0.0  # seconds for upstream, told with the next span
        self.span: Span | None = None  # of the attempt that runs
        self.last: SpanContext | None = None

    def moment(self, at: float) -> int:
        """Return a moment of the loop's clock as nanoseconds since 1970."""
        return self.offset + round(at * 1e9)

    def links(self) -> list[Link]:
        """Return a link for each upstream that has a span."""
        return [Link(up.last) for up in self.upstream if up.last is not None and up.last.is_valid]

    def settle(self) -> None:
        """Drop what only an unfinished node needs."""
        self.parent, self.upstream = NOWHERE, []


class Traces:
    """An observer that makes a span for each attempt and, with `around`, for the run.

    `Run(observers=[Traces()])` gives the attempts; they are children of the span that was current at the call. A node
    that settles without an attempt gets a span without length that says why. `provider` is the tracer provider, by
    default OpenTelemetry's global one; without an SDK nothing is recorded.

    >>> from aiodag import Run, task
    >>> from aiodag.traces.opentelemetry import Traces
    >>> from opentelemetry.sdk.trace import TracerProvider
    >>> from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    >>> provider, spans = TracerProvider(), InMemorySpanExporter()
    >>> provider.add_span_processor(SimpleSpanProcessor(spans))
    >>> async with Traces(provider).around(Run("etl")):
    ...     node = task(sum)([1, 2])
    >>> [span.name for span in spans.get_finished_spans()]
    ['sum', 'run etl']
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("aiodag", tracer_provider=provider)
        self._tracks: WeakKeyDictionary[Node[Any], Track] = WeakKeyDictionary()
        self._offsets: WeakKeyDictionary[Run, int] = WeakKeyDictionary()

    @asynccontextmanager
    async def around(self, run: Run) -> AsyncGenerator[Run]:
        """Enter a run and observe it, with a span that is the current one inside and ends when the run has ended.

        Raises what the run raises. What the tracer raises is reported through the loop's exception handler.
        """
        loop = asyncio.get_running_loop()
        outside = context.get_current()
        offset = self._offset(run, loop)
        span: Span = trace.INVALID_SPAN
        with report_errors(loop, run):
            start = offset + round(loop.time() * 1e9)
            parent = calling_context(run)
            span = self._tracer.start_span(f"run {run.name}", parent, attributes=run_attributes(run), start_time=start)
            context.attach(trace.set_span_in_context(span, outside))
        if not any(each is self for each in run.observers):
            run.observers = (*run.observers, self)
        try:
            async with run:
                yield run
        except BaseException as error:
            with report_errors(loop, run):
                if not isinstance(error, asyncio.CancelledError):
                    span.set_status(StatusCode.ERROR, exception_line(error))
            raise
        finally:
            # Not by detach(): that complains where fixtures of tests leave the run in another asyncio task.
            context.attach(outside)
            with report_errors(loop, run):
                span.set_attribute("aiodag.state", str(run.state))
                span.end(offset + round(loop.time() * 1e9))

    def moved(self, move: Move, /) -> None:
        """Begin or end a span where the move says so."""
        if move.previous is None:
            self._tracks[move.node] = self._track(move)
            return
        track = self._tracks.get(move.node)
        if track is None:
            return  # called before this observer came
        if move.previous is State.WAITING:
            track.waited = move.at - track.since
            track.since = move.at
        if move.state is State.RUNNING:
            track.span = self._span(move, track)
            enter_span(move.node, trace.set_span_in_context(track.span, track.parent))
        elif track.span is not None or move.state.final:
            self._end(move, track)
        track.since = move.at

    def _track(self, move: Move) -> Track:
        """Note a call, in the context of the caller."""
        node = move.node
        # Here and not later: a node drops its arguments when its body starts.
        upstream = [self._tracks[up] for up in dict.fromkeys(needs(node)) if up in self._tracks]
        run = node.run
        assert run is not None
        return Track(calling_context(run), upstream, self._offset(run, node.get_loop()), move.at)

    def _offset(self, run: Run, loop: asyncio.AbstractEventLoop) -> int:
        """Return the nanoseconds from the loop's clock to the time of day, the same for all of a run."""
        known = self._offsets.get(run)
        if known is None:
            outer = current_node()  # in whose body this run is
            track = self._tracks.get(outer) if outer is not None and outer.get_loop() is loop else None
            known = time.time_ns() - round(loop.time() * 1e9) if track is None else track.offset
            self._offsets[run] = known
        return known

    def _span(self, move: Move, track: Track) -> Span:
        """Begin the span of an attempt, or of a node that settles without one."""
        node = move.node
        attributes = {
            **run_attributes(node.run),
            "aiodag.task": node.name,
            "aiodag.node": node.number,
            "aiodag.attempt": move.attempt if move.state is State.RUNNING else 0,
            "aiodag.site": node.site,
            "aiodag.waiting": track.waited,
            "aiodag.queued": move.at - track.since,
        }
        track.waited = 0.0
        return self._tracer.start_span(
            node.name, track.parent, attributes=attributes, links=track.links(), start_time=track.moment(move.at)
        )

    def _end(self, move: Move, track: Track) -> None:
        """End the span of an attempt with its outcome; make one where no attempt was under way."""
        span = track.span or self._span(move, track)
        track.span, track.last = None, span.get_span_context()
        if move.state.final:
            track.settle()
        moment = track.moment(move.at)
        try:
            end_attributes(span, move, moment)
        finally:
            span.end(moment)


def calling_context(run: Run) -> Context:
    """Return the context of who calls; where that has no span, the one of who has submitted the run, if its tag names it."""
    current = context.get_current()
    submitter = run.tags.get(TRACEPARENT)
    if submitter is None or trace.get_current_span(current).get_span_context().is_valid:
        return current
    return PROPAGATOR.extract({TRACEPARENT: submitter}, current)


def run_attributes(run: Run | None) -> dict[str, Any]:
    """Return what every span says of the run."""
    if run is None:
        return {}
    return {"aiodag.run": run.name, "aiodag.run_id": run.id} if run.id else {"aiodag.run": run.name}


def enter_span(node: Node[Any], inside: Context) -> None:
    """Make a context the current one of a body that is about to start."""
    if node._call_context is not None and not node.driven:
        node._call_context.run(context.attach, inside)  # the loop starts it, in this context
    elif current_node() is node:
        context.attach(inside)  # its options do, and we are in that context


def end_attributes(span: Span, move: Move, moment: int) -> None:
    """Record in a span how its attempt ended, and why."""
    state = State.FAILED if move.state is State.QUEUED else move.state  # of the attempt: the node tries again
    span.set_attribute("aiodag.state", str(state))
    if state is State.FAILED:
        fail_span(span, error_of(move), moment)
        return
    reason = reason_of(move)
    if reason:
        span.set_attribute("aiodag.reason", reason)


def fail_span(span: Span, error: BaseException | None, moment: int) -> None:
    """Record in a span that its attempt failed."""
    if error is None:
        span.set_status(StatusCode.ERROR)
        return
    span.set_status(StatusCode.ERROR, exception_line(error))
    with suppress(Exception):  # an exception whose own text raises
        span.record_exception(error, attributes=without_secrets(error), timestamp=moment)


def without_secrets(error: BaseException) -> dict[str, str]:
    """Return what a trace has of an exception in place of its own texts, where a secret is in them."""
    texts = {"exception.message": str(error), "exception.stacktrace": "".join(format_exception(error))}
    return {name: masked(text) for name, text in texts.items() if masked(text) != text}


def error_of(move: Move) -> BaseException | None:
    """Return what an attempt raised."""
    if move.state is State.QUEUED:
        return move.node.ended_by
    failure = move.node.failure
    return None if failure is None else failure.exception


def reason_of(move: Move) -> str:
    """Return why a node was skipped or cancelled, or succeeded without an attempt, as far as that is known."""
    node = move.node
    if move.state is State.SUCCEEDED:
        return "" if move.previous is State.RUNNING else "recalled: it succeeded before"
    if node.failure is not None:
        return str(node.failure)
    if move.state is State.SKIPPED:
        error = node.exception()
        return "" if error is None else exception_line(error)
    message = getattr(node, "_cancel_message", None)
    return message if isinstance(message, str) else ""


@contextmanager
def report_errors(loop: asyncio.AbstractEventLoop, run: Run) -> Generator[None]:
    """Report what a tracer raises, as the run does for its observers."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whoever looks on harms nothing
        loop.call_exception_handler({"message": f"tracing of run {run.name!r} raised", "exception": error})


# Requests of a server


class RequestSpan:
    """The span of one request of a server."""

    def __init__(self, span: Span, method: str) -> None:
        self._span = span
        self._method = method

    def headers(self) -> dict[str, str]:
        """Return the headers that name this span to what comes of the request; none where nothing is traced."""
        named: dict[str, str] = {}
        PROPAGATOR.inject(named, trace.set_span_in_context(self._span))
        return named

    def answered(self, status: int, route: str | None) -> None:
        """Note the status of the answer, and the template of the route that has answered."""
        self._span.set_attribute("http.response.status_code", status)
        if route is not None:
            self._span.update_name(f"{self._method} {route}")
            self._span.set_attribute("http.route", route)
        if status >= FAULT:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """End it, unless that was done before."""
        if self._span.is_recording():
            self._span.end()


class RequestSpans:
    """What makes a span for each request of a server, with the names that OpenTelemetry has agreed on for HTTP."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("aiodag", tracer_provider=provider)

    @contextmanager
    def around(self, method: str, scheme: str, path: str, headers: Mapping[str, str]) -> Generator[RequestSpan]:
        """Give the span of a request, the current one inside. Its parent is the one that the headers name."""
        name = method if method in METHODS else "HTTP"
        attributes = {"http.request.method": method if method in METHODS else "_OTHER", "url.scheme": scheme}
        attributes["url.path"] = masked(path)
        span: Span = trace.INVALID_SPAN
        try:
            parent = propagate.extract(headers)
            span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes)
        except Exception:
            log.exception("a request is not traced")  # and is answered
        made = RequestSpan(span, name)
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            try:
                yield made
            finally:
                made.end()

    def flush(self, seconds: float) -> None:
        """Send what has not been sent, for some seconds at most: a collector that is gone would be waited for."""
        flush = getattr(trace.get_tracer_provider(), "force_flush", None)
        if flush is not None:
            thread = Thread(target=flush, name="aiodag last spans", daemon=True)
            thread.start()
            thread.join(seconds)


# What the environment says


def open_traces() -> Traces:
    """Return what traces runs, as `set_provider` has it. Raises what that raises."""
    set_provider()
    return Traces()


def open_request_spans() -> RequestSpans:
    """Return what traces requests, as `set_provider` has it. Raises what that raises."""
    set_provider()
    return RequestSpans()


def set_provider() -> None:
    """Make the global tracer provider as the variables of OpenTelemetry say, unless somebody has set one.

    Raises `MissingExtra` and `OptionError`.
    """
    if not isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        return
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider as SdkProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtra("--trace", "opentelemetry-sdk", "otlp") from error
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "aiodag"}))
    provider = SdkProvider(resource=resource)
    for exporter in exporters_named():
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
