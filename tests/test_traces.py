"""Runs in OpenTelemetry: what has a span, who is its parent, what it links to, and what it says."""

import asyncio
import gc
import sys
import threading
import weakref
from contextlib import suppress
from importlib import import_module
from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from aiodag import AiodagError, Move, Run, RunFailed, Secret, Skip, State, settled, task
from aiodag.service import Service
from aiodag.service.worker import QueueWorker
from aiodag.testing import inject, run
from aiodag.traces.opentelemetry import Traces


class Spans:
    """Traces, and the spans that they made, in the order of their ends."""

    def __init__(self):
        self.memory = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.tracer = self.provider.get_tracer("tests")
        self.traces = Traces(self.provider)

    def around(self, name="etl", **options):
        return self.traces.around(Run(name, **options))

    def all(self, name=None):
        return [each for each in self.memory.get_finished_spans() if name in (None, each.name)]

    def one(self, name):
        (span,) = self.all(name)
        return span

    def states(self, name):
        return [(each.attributes["aiodag.attempt"], each.attributes["aiodag.state"]) for each in self.all(name)]


@pytest.fixture
def spans():
    return Spans()


@pytest.fixture
def reports():
    return []


def listen(reports):
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))


def current():
    return trace.get_current_span()


def seconds(span):
    return (span.end_time - span.start_time) / 1e9


def parent(span):
    return span.parent and span.parent.span_id


def identity(span):
    return span.context.span_id


def linked(span):
    return [link.context.span_id for link in span.links]


@task
async def work(seconds=0.0, *upstream):
    await asyncio.sleep(seconds)
    return seconds


@task
async def join(*values, **more):
    return len(values) + len(more)


@task
async def bad(seconds=0.0):
    await asyncio.sleep(seconds)
    raise LookupError("no such row")


# What has a span


def test_a_run_and_each_attempt_have_a_span_and_attempts_are_children_of_the_run(spans):
    async def main():
        async with spans.around():
            join(work(2), work(3))

    run(main())
    etl = spans.one("run etl")

    assert [each.name for each in spans.all()] == ["work", "work", "join", "run etl"]
    assert {parent(each) for each in spans.all() if each is not etl} == {identity(etl)}
    assert parent(etl) is None


def test_a_span_says_which_task_node_and_attempt_it_is_and_where_it_was_called(spans):
    async def main():
        async with spans.around("nightly"):
            work(0)
            work(1)

    run(main())
    said = dict(spans.all("work")[1].attributes)

    assert said.pop("aiodag.site").startswith(f"{__file__}:")
    assert said == {
        "aiodag.run": "nightly",
        "aiodag.task": "work",
        "aiodag.node": 1,
        "aiodag.attempt": 1,
        "aiodag.state": "succeeded",
        "aiodag.waiting": 0.0,
        "aiodag.queued": 0.0,
    }


def test_a_run_with_an_id_says_it_on_every_span(spans):
    async def main():
        async with spans.around(id="2024-05-01"):
            work()

    run(main())

    assert {each.attributes["aiodag.run_id"] for each in spans.all()} == {"2024-05-01"}


def test_a_coroutine_that_is_passed_has_a_span_as_any_node(spans):
    async def plain():
        await asyncio.sleep(1)
        return 1

    async def main():
        async with spans.around():
            join(plain())

    run(main())
    (adopted,) = (each for each in spans.all() if each.name.endswith("plain"))

    assert linked(spans.one("join")) == [identity(adopted)]
    assert seconds(adopted) == 1.0


def test_an_observer_alone_makes_the_attempts_children_of_the_span_of_the_call(spans):
    async def main():
        with spans.tracer.start_as_current_span("mine"):
            async with Run("etl", observers=[spans.traces]):
                work()

    run(main())

    assert parent(spans.one("work")) == identity(spans.one("mine"))
    assert spans.all("run etl") == []


def test_without_an_sdk_a_run_is_as_without_traces():
    async def main():
        async with Traces().around(Run("etl")) as etl:
            node = join(work(1), work(2))
        return etl.state, node.result()

    assert run(main()) == ("succeeded", 2)


def test_nodes_called_before_the_observer_came_are_left_out(spans):
    async def main():
        async with Run("etl") as etl:
            first = work(1)
            etl.observers = (spans.traces,)
            join(first)

    run(main())

    assert [(each.name, linked(each)) for each in spans.all()] == [("join", [])]


# Links


def test_links_are_the_edges_whatever_their_kind(spans):
    async def main():
        async with spans.around():
            nodes = [work(number) for number in range(5)]
            after = task(join, nodes[0], settled(nodes[1]))
            after(nodes[2], [{"deep": nodes[3]}], key=nodes[4])

    run(main())

    assert sorted(linked(spans.one("join"))) == sorted(map(identity, spans.all("work")))


def test_an_upstream_that_is_passed_twice_is_one_link(spans):
    async def main():
        async with spans.around():
            node = work(1)
            join(node, node, [node])

    run(main())

    assert linked(spans.one("join")) == [identity(spans.one("work"))]


def test_an_upstream_that_has_settled_long_ago_is_linked(spans):
    async def main():
        async with spans.around():
            node = work(1)
            await node
            await asyncio.sleep(10)
            join(node)

    run(main())

    assert linked(spans.one("join")) == [identity(spans.one("work"))]


def test_an_upstream_of_another_run_is_linked_and_one_without_a_run_is_not(spans):
    async def main():
        outside = work(1)
        async with spans.around("first"):
            node = work(2)
        async with spans.around("second"):
            join(node, outside)

    run(main())

    assert linked(spans.one("join")) == [identity(spans.one("work"))]


def test_a_link_leads_to_the_last_attempt_of_an_upstream(spans):
    async def main():
        with inject({("work", 1): OSError()}):
            async with spans.around():
                join(work.with_options(retries=1)(1))

    run(main())
    first, second = spans.all("work")

    assert linked(spans.one("join")) == [identity(second)]
    assert identity(first) != identity(second)


# Attempts


def test_each_attempt_has_a_span_and_each_failure_is_recorded_where_it_happened(spans):
    numbers = iter([1, 2, 3])

    @task(retries=2)
    async def flaky(row):
        number = next(numbers)
        if number < 3:
            raise ConnectionError(f"refused {number}")
        return number

    async def main():
        async with spans.around():
            flaky(work(1))

    run(main())

    assert spans.states("flaky") == [(1, "failed"), (2, "failed"), (3, "succeeded")]
    assert [each.status.description for each in spans.all("flaky")] == [
        "ConnectionError: refused 1",
        "ConnectionError: refused 2",
        None,
    ]
    assert [[event.attributes["exception.message"] for event in each.events] for each in spans.all("flaky")] == [
        ["refused 1"],
        ["refused 2"],
        [],
    ]
    assert {tuple(linked(each)) for each in spans.all("flaky")} == {(identity(spans.one("work")),)}


def test_a_failed_attempt_has_its_exception_with_the_traceback_of_the_body(spans):
    async def main():
        async with spans.around():
            bad(1)

    with pytest.raises(RunFailed):
        run(main())
    span = spans.one("bad")
    (event,) = span.events

    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "LookupError: no such row")
    assert (event.name, event.timestamp) == ("exception", span.end_time)
    assert event.attributes["exception.type"] == "LookupError"
    assert "in bad" in event.attributes["exception.stacktrace"]


def test_an_exception_without_a_readable_text_is_told_by_its_type(spans):
    class Hostile(Exception):
        def __str__(self):
            raise TypeError

    @task
    async def hostile():
        raise Hostile

    async def main():
        async with spans.around() as etl:
            hostile()
        return etl

    with pytest.raises(RunFailed):
        run(main())
    span = spans.one("hostile")

    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description.startswith("Hostile: ")


def test_looking_at_a_failure_does_not_take_it(spans):
    async def main():
        async with spans.around():
            join(bad())

    with pytest.raises(RunFailed) as caught:
        run(main())

    assert [str(each) for each in caught.value.failures] == ["bad(0.0) failed: LookupError: no such row"]


def test_an_attempt_that_is_cancelled_ends_as_cancelled_and_not_as_an_error(spans):
    async def main():
        async with spans.around():
            node = work(100)
            await asyncio.sleep(3)
            node.cancel()

    run(main())

    assert spans.states("work") == [(1, "cancelled")]
    assert seconds(spans.one("work")) == 3.0
    assert spans.one("work").status.status_code is StatusCode.UNSET


def test_an_attempt_that_took_too_long_failed(spans):
    async def main():
        async with spans.around():
            settled(work.with_options(timeout=2)(100))

    with pytest.raises(RunFailed):
        run(main())

    assert spans.one("work").status.description.startswith("TimeoutError: attempt 1 of work took longer than 2 s")


# Without an attempt


def test_what_is_skipped_has_a_span_without_length_that_says_why(spans):
    async def main():
        async with spans.around():
            join(work(1), bad(2))

    with pytest.raises(RunFailed):
        run(main())
    skipped = spans.one("join")

    assert spans.states("join") == [(0, "skipped")]
    assert skipped.attributes["aiodag.reason"] == "join skipped: bad(2) failed: LookupError: no such row"
    assert (seconds(skipped), skipped.attributes["aiodag.waiting"]) == (0.0, 2.0)
    assert sorted(linked(skipped)) == sorted([identity(spans.one("work")), identity(spans.one("bad"))])
    assert skipped.status.status_code is StatusCode.UNSET


def test_a_body_that_skips_says_why_and_so_does_what_needs_it(spans):
    @task
    async def news():
        raise Skip("no new rows")

    async def main():
        async with spans.around():
            join(news())

    run(main())

    assert [spans.states(name) for name in ("news", "join")] == [[(1, "skipped")], [(0, "skipped")]]
    assert {spans.one(name).attributes["aiodag.reason"] for name in ("news", "join")} == {"Skip: no new rows"}


def test_what_is_cancelled_before_it_starts_says_why_and_how_long_it_had_waited(spans):
    async def main():
        async with spans.around():
            node = join(work(10))
            await asyncio.sleep(4)
            node.cancel("nobody asks any more")

    run(main())
    span = spans.one("join")

    assert spans.states("join") == [(0, "cancelled")]
    assert (span.attributes["aiodag.reason"], span.attributes["aiodag.waiting"]) == ("nobody asks any more", 4.0)


def test_what_is_cancelled_between_two_attempts_has_both_told(spans):
    async def main():
        async with spans.around():
            node = bad.with_options(retries=5, backoff=60)()
            await asyncio.sleep(10)
            node.cancel()

    run(main())

    assert spans.states("bad") == [(1, "failed"), (0, "cancelled")]
    assert spans.all("bad")[1].attributes["aiodag.queued"] == 10.0


def test_what_is_recalled_has_a_span_without_length_that_says_so(spans):
    async def main():
        async with Run("etl"):
            node = work()
        spans.traces.moved(Move(node, None, State.WAITING, 1.0, 0))
        spans.traces.moved(Move(node, State.WAITING, State.QUEUED, 3.0, 0))
        spans.traces.moved(Move(node, State.QUEUED, State.SUCCEEDED, 3.0, 0))

    run(main())
    span = spans.one("work")

    assert spans.states("work") == [(0, "succeeded")]
    assert (seconds(span), span.attributes["aiodag.reason"]) == (0.0, "recalled: it succeeded before")
    assert span.attributes["aiodag.waiting"] == 2.0


# Times


def test_waiting_is_apart_from_running(spans):
    async def main():
        async with spans.around():
            join.with_options(timeout=5)(work(2), work(3))

    run(main())
    etl = spans.one("run etl")
    joined = spans.one("join")

    assert [seconds(each) for each in spans.all()] == [2.0, 3.0, 0.0, 3.0]
    assert joined.attributes["aiodag.waiting"] == 3.0
    assert joined.start_time == etl.end_time == etl.start_time + 3 * 10**9


def test_queued_is_the_time_for_a_place_of_a_limit(spans):
    async def main():
        async with spans.around():
            work.with_options(limit=1).map([2, 2, 2])

    run(main())

    assert [each.attributes["aiodag.queued"] for each in spans.all("work")] == [0.0, 2.0, 4.0]
    assert [seconds(each) for each in spans.all("work")] == [2.0, 2.0, 2.0]


def test_queued_is_also_the_time_for_a_place_in_the_run_and_until_the_next_attempt(spans):
    async def main():
        with inject({("join", 1): OSError()}):
            async with spans.around(limit=1):
                work(2)
                join.with_options(retries=1, backoff=7)()

    run(main())

    assert [each.attributes["aiodag.queued"] for each in spans.all("join")] == [2.0, 7.0]
    assert [each.attributes["aiodag.waiting"] for each in spans.all("join")] == [0.0, 0.0]


def test_the_times_are_those_of_the_day(spans, monkeypatch):
    monkeypatch.setattr("aiodag.traces.opentelemetry.time", SimpleNamespace(time_ns=lambda: 10**18))

    async def main():
        await asyncio.sleep(3600)
        async with spans.around():
            await asyncio.sleep(1)
            await work(2)

    run(main())

    assert (spans.one("run etl").start_time, spans.one("run etl").end_time) == (10**18, 10**18 + 3 * 10**9)
    assert spans.one("work").start_time == 10**18 + 10**9


# The current span


def test_a_body_has_its_attempt_as_the_current_span(spans):
    seen = []

    @task
    async def look():
        seen.append(identity(current()))
        await asyncio.sleep(1)
        seen.append(identity(current()))

    async def main():
        async with spans.around():
            look()

    run(main())

    assert seen == [identity(spans.one("look"))] * 2


@pytest.mark.parametrize("options", [{"timeout": 5}, {"limit": 1}, {"retries": 1}])
def test_a_body_with_options_has_its_attempt_as_the_current_span(spans, options):
    seen = []

    @task(**options)
    async def look():
        seen.append(identity(current()))

    async def main():
        async with spans.around():
            look()

    run(main())

    assert seen == [identity(spans.one("look"))]


def test_each_attempt_is_the_current_span_of_its_own_body(spans):
    seen = []

    @task(retries=2)
    async def look():
        seen.append(identity(current()))
        if len(seen) < 3:
            raise OSError

    async def main():
        async with spans.around():
            look()

    run(main())

    assert seen == [identity(each) for each in spans.all("look")]
    assert {parent(each) for each in spans.all("look")} == {identity(spans.one("run etl"))}


def test_a_body_in_a_thread_has_its_attempt_as_the_current_span(spans):
    seen = []

    @task
    def look():
        seen.append((threading.current_thread() is threading.main_thread(), identity(current())))

    async def main():
        async with spans.around():
            look()

    run(main())

    assert seen == [(False, identity(spans.one("look")))]


def test_the_run_is_the_current_span_inside_it_and_not_after(spans):
    async def main():
        before = current()
        async with spans.around():
            inside = current()
        return before, inside, current()

    before, inside, after = run(main())

    assert identity(inside) == identity(spans.one("run etl"))
    assert before is after is trace.INVALID_SPAN


def test_the_span_of_an_attempt_reaches_nobody_else(spans):
    async def main():
        async with spans.around():
            inside = current()
            await work(1)
            await work.with_options(retries=1)(1)
            return inside is current()

    assert run(main())


# Inside one another


def test_a_node_called_in_a_body_is_a_child_of_that_attempt(spans):
    @task(retries=1)
    async def outer():
        await work(1)

    async def main():
        async with spans.around():
            outer()

    run(main())

    assert parent(spans.one("work")) == identity(spans.one("outer"))
    assert parent(spans.one("outer")) == identity(spans.one("run etl"))


def test_spans_of_your_own_stand_between(spans):
    async def main():
        async with spans.around():
            with spans.tracer.start_as_current_span("extract"):
                work(1)

    run(main())

    assert parent(spans.one("work")) == identity(spans.one("extract"))
    assert parent(spans.one("extract")) == identity(spans.one("run etl"))


def test_a_run_in_a_body_is_a_child_of_that_attempt_and_keeps_its_clock(spans):
    @task
    async def outer():
        await asyncio.sleep(5)
        async with spans.around("inner"):
            work(1)

    async def main():
        async with spans.around():
            outer()

    run(main())
    inner, attempt = spans.one("run inner"), spans.one("outer")

    assert parent(inner) == identity(attempt)
    assert parent(spans.one("work")) == identity(inner)
    assert (inner.start_time, inner.end_time) == (attempt.start_time + 5 * 10**9, attempt.end_time)


def test_a_run_under_a_span_of_your_own_is_its_child(spans):
    async def main():
        with spans.tracer.start_as_current_span("request"):
            async with spans.around():
                work()

    run(main())

    assert parent(spans.one("run etl")) == identity(spans.one("request"))


def test_one_object_serves_runs_at_the_same_time(spans):
    async def one(name):
        async with spans.around(name):
            join(work(1))

    async def main():
        await asyncio.gather(one("a"), one("b"))

    run(main())
    roots = {identity(spans.one(f"run {name}")): name for name in "ab"}

    assert [roots[parent(each)] for each in spans.all("work")] == ["a", "b"]
    assert all(each.attributes["aiodag.run"] == roots[parent(each)] for each in spans.all("join"))


# How a run ends


async def fails():
    bad()


async def is_left():
    raise KeyError("rows")


async def is_cancelled():
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


async def is_well():
    work()


@pytest.mark.parametrize(
    ("body", "state", "status", "text"),
    [
        (is_well, "succeeded", StatusCode.UNSET, None),
        (fails, "failed", StatusCode.ERROR, "RunFailed: run 'etl': 1 failed"),
        (is_left, "failed", StatusCode.ERROR, "KeyError: 'rows'"),
        (is_cancelled, "cancelled", StatusCode.UNSET, None),
    ],
)
def test_the_span_of_a_run_says_how_it_ended(spans, body, state, status, text):
    async def main():
        async with spans.around():
            await body()

    with suppress(RunFailed, KeyError, asyncio.CancelledError):
        run(main())
    span = spans.one("run etl")

    assert (span.attributes["aiodag.state"], span.status.status_code) == (state, status)
    assert (span.status.description or "").removesuffix(" (1 sub-exception)") == (text or "")


def test_around_keeps_the_observers_of_a_run_and_observes_once(spans):
    class Other:
        def moved(self, move):
            states.append(move.state)

    async def main():
        async with spans.around(observers=[Other(), spans.traces]):
            work()

    states = []
    run(main())

    assert states == ["waiting", "queued", "running", "succeeded"]
    assert len(spans.all("work")) == 1


# Harm


class Broken(SpanProcessor):
    def on_start(self, span, parent_context=None):
        raise OSError("disk full")

    def on_end(self, span):
        raise OSError("disk full")


def test_a_tracer_that_raises_harms_neither_run_nor_nodes(spans, reports):
    spans.provider.add_span_processor(Broken())

    async def main():
        listen(reports)
        async with spans.around() as etl:
            node = join(work(1), work(2))
        return etl.state, node.result()

    assert run(main()) == ("succeeded", 2)
    assert {str(each["exception"]) for each in reports} == {"disk full"}


def test_settled_nodes_are_held_by_nobody(spans):
    async def main():
        async with spans.around():
            nodes = [work(1), join(work(2), [work(3)]), bad()]
            references = [weakref.ref(each) for each in nodes]
            for each in nodes:
                await asyncio.wait([each])
                each.exception()
            del nodes, each
            gc.collect()
            return [reference() for reference in references]

    assert run(main()) == [None, None, None]


def test_a_missing_package_says_what_asked_for_it_and_what_to_install(monkeypatch):
    for name in [each for each in sys.modules if each.split(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "aiodag.traces.opentelemetry")

    with pytest.raises(ImportError, match=r"needs opentelemetry-api, .*pip install 'aiodag\[otel\]'") as caught:
        import_module("aiodag.traces.opentelemetry")

    assert isinstance(caught.value, AiodagError)


def test_a_span_shows_no_secret(spans, monkeypatch, secrets_forgotten):
    monkeypatch.setenv("APP_TOKEN", "t0p-secret-of-spans")

    @task
    async def login(token):
        raise PermissionError(f"not with {token}") from ValueError(token)

    async def main():
        async with spans.around():
            login(Secret("APP_TOKEN"))

    with pytest.raises(RunFailed):
        run(main())
    shown = spans.one("login").to_json()

    assert "not with ***" in shown
    assert "t0p-secret-of-spans" not in shown


SUBMITTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_run_joins_the_trace_of_who_has_submitted_it(spans):
    """Its tag names the span. Where a span is current, that one is the parent."""
    async with spans.around(tags={"traceparent": SUBMITTER}):
        await task(abs)(-1)
    with spans.tracer.start_as_current_span("here"):
        async with spans.around("other", tags={"traceparent": SUBMITTER}):
            pass
    async with spans.around("broken", tags={"traceparent": "00-0-0-00"}):
        pass

    run, node = spans.one("run etl"), spans.one("abs")
    assert f"{run.context.trace_id:032x}" == f"{node.context.trace_id:032x}" == SUBMITTER.split("-")[1]
    assert f"{run.parent.span_id:016x}" == SUBMITTER.split("-")[2]
    assert spans.one("run other").parent.span_id == spans.one("here").context.span_id
    assert spans.one("run broken").parent is None


async def test_a_worker_traces_the_runs_that_it_takes(spans, tmp_path):
    (tmp_path / "traced_rows.py").write_text("async def main() -> str: return 'rows'")
    service = Service(tmp_path / "runs.db")
    run_id = service.submit(f"{tmp_path}/traced_rows.py", tags={"traceparent": SUBMITTER})
    await QueueWorker(service, once=True, observers=[spans.traces]).run()

    assert service.run(run_id).state is State.SUCCEEDED
    assert f"{spans.one('main').parent.span_id:016x}" == SUBMITTER.split("-")[2]
    service.close()
