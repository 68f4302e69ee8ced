"""Loops for async tests, and no silent skips in CI."""

import asyncio
import logging
import os
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from worker_processes import Workers

ALLOWED_SKIPS = Path(__file__).parent.parent / ".ci" / "allowed-skips"

# How long an example takes says how busy the machine is. What Hypothesis sets by itself in CI stays.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def eager_loop():
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def uvloop_loop():
    import uvloop

    return uvloop.new_event_loop()


def virtual_loop():
    from aiodag.testing import VirtualLoop

    return VirtualLoop()


@pytest.fixture(params=["sqlite", "memory", "postgresql"])
def store(request, tmp_path):
    """A store of each kind, of this test alone."""
    from aiodag.stores import Memory, SQLite

    if request.param == "postgresql":
        store = request.getfixturevalue("postgres_store")
    else:
        store = Memory() if request.param == "memory" else SQLite(tmp_path / "runs.db")
    yield store
    store.close()


@pytest.fixture
def postgres_store(postgres_address, monkeypatch):
    """A store on a server, of this test alone."""
    from aiodag.stores.places import store_at

    # The server has just started, and for a while no lease would run out.
    monkeypatch.setattr("aiodag.stores.sql.postgres.GRACE", 0.0)
    store = store_at(postgres_address)
    yield store
    store.close()


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server, for all tests of this process: each has a schema of its own."""
    from servers import QUICK, PostgresServer

    server = PostgresServer(**QUICK)
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def durable_postgres():
    """A server that waits for its disk, as people have theirs."""
    from servers import PostgresServer

    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path, schema):
    """The address of a store that other processes can open, too, and that outlives them all."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'runs.db'}"
    return request.getfixturevalue("durable_postgres").address(schema, application_name=schema)


@pytest.fixture
def schema():
    """A name for the schema of this test alone."""
    return f"test_{uuid4().hex}"


@pytest.fixture
def postgres_address(postgres, schema):
    """The address of a store on a server, of this test alone. Nothing is there yet; one that begins with it is dropped too."""
    yield postgres.address(schema)
    found = postgres.execute("select nspname from pg_namespace where starts_with(nspname, %s)", (schema,))
    for (each,) in found:
        postgres.execute(f'drop schema "{each}" cascade')


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path, schema):
    """The address of a store in a file, and of one on a server, of this test alone."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/runs.db"
    return f"{request.getfixturevalue('postgres_address')}&application_name={schema}"


@pytest.fixture
def workers(address, tmp_path):
    """What starts workers of that store as processes; they end with the test."""
    workers = Workers(address, tmp_path)
    yield workers
    workers.end()


@pytest.fixture
def local_place(tmp_path):
    """This machine, for the tests that all hosts pass."""
    from test_host_contract import Place

    from aiodag.commands.local import LOCAL

    return Place(LOCAL, tmp_path)


@pytest.fixture(scope="session")
def shared_agent(tmp_path_factory):
    """An agent with much room, for all tests of this process that neither kill nor drain it."""
    from agent_servers import AgentProcess

    agent = AgentProcess(tmp_path_factory.mktemp("agent"))
    try:
        yield agent.start()
    finally:
        agent.remove()


@pytest.fixture
def agent_place(shared_agent, tmp_path):
    """An agent on this machine, for the tests that all hosts pass."""
    from test_host_contract import Place

    return Place(shared_agent.host(), tmp_path)


@pytest.fixture
def new_agent(tmp_path_factory):
    """What makes agents of one test alone."""
    from agent_servers import AgentProcess

    made = []

    def make(*options, **durations):
        made.append(AgentProcess(tmp_path_factory.mktemp("agent"), *options, **durations))
        return made[-1].start()

    yield make
    for each in made:
        each.remove()


@pytest.fixture
def new_web_server(tmp_path_factory):
    """What makes servers of one test alone, of `aiodag serve`: `new_web_server("--worker", store=address)`."""
    from web_servers import WebServer

    made = []

    def make(*options, **more):
        made.append(WebServer(tmp_path_factory.mktemp("web"), *options, **more))
        return made[-1].start()

    yield make
    for each in made:
        each.remove()


@pytest.fixture(scope="session")
def web_server(tmp_path_factory):
    """A server over a SQLite store without a worker, for all tests of this process that leave it alive: use ids of your own."""
    from web_servers import WebServer

    server = WebServer(tmp_path_factory.mktemp("web"))
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def ssh_server():
    """An sshd, for all tests of this process."""
    from ssh_servers import SSHServer

    server = SSHServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def ssh_place(ssh_server):
    """A machine over SSH, for the tests that all hosts pass."""
    from test_host_contract import Place

    from aiodag.commands.ssh import SSH

    host = SSH(ssh_server.address, key=ssh_server.key, known_hosts=ssh_server.known_hosts, agent=False)
    yield Place(host, ssh_server.folder, counts_memory=Path("/usr/bin/time").exists())
    asyncio.run(host.close())


@pytest.fixture(scope="session")
def dask_cluster(tmp_path_factory):
    """A Dask cluster of two workers, for all tests of this process."""
    from dask_servers import DaskCluster

    cluster = DaskCluster(tmp_path_factory.mktemp("dask"))
    try:
        yield cluster.start()
    finally:
        cluster.remove()


@pytest.fixture
def dask_executor(dask_cluster):
    """An executor of that cluster, of this test alone."""
    from aiodag.executors.dask import Dask

    return Dask(dask_cluster.heal().address)


@pytest.fixture
async def dask(dask_executor):
    """The same, closed at the end of the test."""
    yield dask_executor
    await dask_executor.close()


@pytest.fixture(scope="session")
def ray_cluster():
    """A Ray cluster, for all tests of this process, which runs in a network of its own."""
    from ray_servers import RayServer

    server = RayServer()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def ray_executor(ray_cluster):
    """An executor of that cluster, of this test alone."""
    from aiodag.executors.ray import Ray

    return Ray()


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop_loop, "eager": eager_loop}


def pytest_addoption(parser):
    parser.addoption("--loop", choices=LOOPS, default="asyncio", help="the event loop under async tests")


def pytest_configure(config):
    # Who is started with `nohup`, or with `&` in a script, ignores signals, and so does what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if config.getoption("--loop") == "eager" and sys.version_info < (3, 12):
        raise pytest.UsageError("--loop eager: the eager task factory came with Python 3.12")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """Let the processes of pytest-xdist send what a test has printed, also where it is not valid text."""
    return encodable((yield))


def encodable(value):
    if isinstance(value, dict):
        return {encodable(key): encodable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(encodable, value))
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def pytest_asyncio_loop_factories(config, item):
    if item.get_closest_marker("virtual"):
        return {"virtual": virtual_loop}
    name = config.getoption("--loop")
    return {name: LOOPS[name]}


@pytest.fixture
def service_at():
    """Give services of stores, and close them in the end."""
    from aiodag.service import Service

    with ExitStack() as stack:

        def opened(store):
            service = Service(store)
            stack.callback(service.close)
            return service

        yield opened


@pytest.fixture(scope="session")
def slurm_server():
    """A Slurm cluster of one node, for all tests of this process."""
    from slurm_servers import SlurmServer

    server = SlurmServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def slurm(slurm_server, monkeypatch):
    """That cluster, as this process and what it starts know it, with its node in order."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_server.file))
    yield slurm_server
    slurm_server.heal()


@pytest.fixture
def slurm_place(slurm):
    """Slurm as a host that programs run on."""
    from test_host_contract import Place

    from aiodag.commands.slurm import Slurm

    return Place(Slurm(directory=slurm.root / "shared" / "jobs", interval=0.3), slurm.root / "shared", queues=True)


@pytest.fixture
def secrets_forgotten(monkeypatch):
    """Begin and end without secrets: what one test has read is masked in no other."""
    from aiodag.masking import TABLE

    make_record, hook, hook_of_threads = logging.getLogRecordFactory(), sys.excepthook, threading.excepthook
    monkeypatch.setattr(TABLE, "masks", None)
    monkeypatch.setattr(TABLE, "_values", {})
    yield
    logging.setLogRecordFactory(make_record)
    sys.excepthook, threading.excepthook = hook, hook_of_threads


@pytest.fixture
def topics_forgotten(monkeypatch):
    """Begin and end without topics: a name may carry another type in each test."""
    from aiodag.messages import topics

    monkeypatch.setattr(topics, "DECLARED", {})


@pytest.fixture
def schemes_forgotten(monkeypatch):
    """Begin and end without transports that others have registered."""
    from aiodag.messages import transports

    monkeypatch.setattr(transports, "OPENERS", {})


@pytest.fixture(autouse=True)
def stores_forgotten(monkeypatch):
    """Begin and end without stores in this process that have a name: what one test has run is found by no other."""
    from aiodag.stores import Memory

    monkeypatch.setattr(Memory, "_named", {})


@pytest.fixture
def hooks_forgotten(monkeypatch):
    """Begin and end without hooks and filters that others have registered."""
    from aiodag.workflows import registered
    from aiodag.workflows.expressions import functions

    monkeypatch.setattr(registered, "HOOKS", {})
    monkeypatch.setattr(functions, "FILTERS", {})


@pytest.fixture
def strangers_known(monkeypatch):
    """Have a virtual loop wait for no thread of an earlier test: with one that it does not know, it would never stall."""
    from aiodag.testing import VirtualLoop

    before, strangers = threading.enumerate(), VirtualLoop.strangers
    monkeypatch.setattr(VirtualLoop, "strangers", lambda loop: strangers(loop).difference(before))


@pytest.fixture
def modules_forgotten(tmp_path):
    """Forget in the end what is imported from this test's directory: another file of the same name would be refused."""
    yield
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)
    sys.path[:] = [place for place in sys.path if place != str(tmp_path.resolve())]


def allowed_skips(path=ALLOWED_SKIPS):
    """Read the ids in the file: one a line, each followed by `  # ` and its reason."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {line.split("  # ")[0].strip() for line in lines if line.strip() and not line.startswith("#")}


def is_allowed(nodeid, allowed):
    """A test is allowed by its id, with its parameters or without."""
    return nodeid in allowed or nodeid.split("[")[0] in allowed


class SkipsFail:
    """Turn a skip that .ci/allowed-skips does not list into a failure."""

    def __init__(self):
        self.allowed = allowed_skips()

    def judge(self, report):
        if report.skipped and not hasattr(report, "wasxfail") and not is_allowed(report.nodeid, self.allowed):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI, and not listed in .ci/allowed-skips: {report.longrepr[2]}"
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self):
        return self.judge((yield))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self):
        return self.judge((yield))


if os.environ.get("CI") == "true":

    def pytest_sessionstart(session):
        session.config.pluginmanager.register(SkipsFail(), "skips-fail")
