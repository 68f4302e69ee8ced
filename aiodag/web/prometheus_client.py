"""What is counted of the server and of its store, for Prometheus: the one file that imports its client. The extra `web`."""

from aiodag.errors import MissingExtra
from aiodag.service.measuring import Measured
from aiodag.states import RUN_MOVES, State

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, exposition
except ImportError as error:
    raise MissingExtra("aiodag serve", "prometheus-client", "web") from error

CONTENT_TYPE = exposition.CONTENT_TYPE_LATEST
STATES_SHOWN = tuple(state for state, moves in RUN_MOVES.items() if moves and state is not State.WAITING)
MOST_LABELS = 200  # different ones of a kind; all others are one: "other"
OTHER = "other"
SECONDS = (0.005, 0.02, 0.1, 0.3, 1.0, 3.0, 10.0)


class Meter:
    """What is counted in one application: in a registry of its own, which no other library writes to."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "aiodag_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "aiodag_request_seconds",
            "Seconds until an answer was sent; streams are not counted",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.streams = Gauge("aiodag_streams_open", "Streams of events that are open", registry=registry)
        self._up = Gauge("aiodag_store_up", "1 if the store could be read, 0 if not", registry=registry)
        self._runs = Gauge("aiodag_runs", "Runs by state", ["state"], registry=registry)
        self._waiting = Gauge("aiodag_queue_waiting", "Runs that wait in a queue", ["queue"], registry=registry)
        self._running = Gauge("aiodag_queue_running", "Runs of a queue that go on", ["queue"], registry=registry)
        self._ages = Gauge(
            "aiodag_queue_oldest_seconds",
            "Age of the oldest run of a queue that could begin",
            ["queue"],
            registry=registry,
        )
        self._workers = Gauge("aiodag_workers", "Workers that are there", ["state"], registry=registry)
        self._lags = Gauge(
            "aiodag_lag_seconds", "How late what is due is: schedules, wake_ups", ["what"], registry=registry
        )
        self._nodes = Counter("aiodag_nodes", "Nodes of ended runs", ["workflow", "task", "state"], registry=registry)
        self._node_seconds = Counter(
            "aiodag_node_seconds", "Seconds of the nodes of ended runs", ["workflow", "task"], registry=registry
        )
        self._queues_named, self._tasks_named = FewNames(), FewNames()

    def text(self) -> bytes:
        """Return all that is counted, as Prometheus reads it."""
        return exposition.generate_latest(self._registry)

    def note_unreachable(self) -> None:
        """Note that the store could not be read: what it had is not known any more."""
        self._up.set(0)
        for gauge in (self._runs, self._waiting, self._running, self._ages, self._workers, self._lags):
            gauge.clear()

    def note_measured(self, found: Measured) -> None:
        """Note what was found in the store."""
        self.note_unreachable()
        self._up.set(1)
        for state in STATES_SHOWN:
            self._runs.labels(str(state)).set(found.runs.get(str(state), 0))
        for queue in found.queues:
            (name,) = self._queues_named.few(queue.name)
            self._waiting.labels(name).inc(queue.waiting)
            self._running.labels(name).inc(queue.running)
        for queue_name, seconds in found.ages.items():
            self._ages.labels(*self._queues_named.few(queue_name)).set(seconds)
        for worker in found.workers:
            self._workers.labels(worker.state).inc()
        for what, seconds in found.lags.items():
            self._lags.labels(what).set(seconds)
        for each in found.tasks:
            workflow, task = self._tasks_named.few(each.workflow, each.task.partition("[")[0])  # not one for each item
            self._nodes.labels(workflow, task, each.state).inc(each.nodes)
            self._node_seconds.labels(workflow, task).inc(max(each.seconds, 0.0))


class FewNames:
    """Names that become labels: a bounded number of them, for each is kept as long as the server lives."""

    def __init__(self) -> None:
        self._there: set[tuple[str, ...]] = set()

    def few(self, *names: str) -> tuple[str, ...]:
        """Return names, or others where there are too many already."""
        if names not in self._there:
            if len(self._there) >= MOST_LABELS:
                return (OTHER,) * len(names)
            self._there.add(names)
        return names
