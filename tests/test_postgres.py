"""Stores on a real PostgreSQL server: the contract of all stores, and what only a server can do."""

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from executions import claim_one, row, write_one
from programs import ROOT
from servers import QUICK, PostgresServer
from test_stores import ELSEWHERE, GONE, DatabaseContract, claim_of, workflow

from aiodag import Run, State, task
from aiodag.cli import main
from aiodag.errors import RunOwned, StoreError, StoreUnreachable, UnknownRun
from aiodag.records import Batch, Owner, RunFilter, Write
from aiodag.service import Service
from aiodag.stores.places import store_at
from aiodag.stores.sql.addresses import server_address
from aiodag.stores.sql.postgres_text import server_steps
from aiodag.stores.sql.server import PostgreSQL
from aiodag.submissions import Submission
from aiodag.wording import hide_password


@pytest.fixture
def store(postgres_store):
    return postgres_store


class TestPostgreSQL(DatabaseContract):
    @pytest.fixture
    def store(self, postgres_store):
        return postgres_store

    @pytest.mark.parametrize("keep", ["-1", "true", "1.5"])
    def test_what_is_no_number_of_bytes_to_keep_is_refused(self, postgres_address, keep):
        with pytest.raises(StoreError, match="keep="):
            store_at(f"{postgres_address}&keep={keep}")


def test_a_store_says_its_address_without_the_password(postgres_address):
    address = postgres_address.replace("postgres@", "postgres:hunter2@")
    store = store_at(f"{address}&sslpassword=hunter2")
    store.close()

    assert "hunter2" not in f"{store} {store!r}"
    assert str(store) == f"{postgres_address.replace('postgres@', 'postgres:***@')}&sslpassword=***"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:a?b@h/db?password=c+d&schema=s", "postgresql://me:***@h/db?password=***&schema=s"),
        ("postgresql://me:a/b@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me:a@b@h:5432/db?sslpassword=x", "postgresql://me:***@h:5432/db?sslpassword=***"),
        ("postgresql://me:a%2Fb@/db?host=/run/a@b", "postgresql://me:***@/db?host=/run/a@b"),
        ("postgresql:///db?user=me@x", "postgresql:///db?user=me@x"),
        ("postgres://h:5432/db", "postgres://h:5432/db"),
        ("runs.db", "runs.db"),
    ],
)
def test_nothing_of_a_password_is_shown_whatever_is_in_it(address, shown):
    assert hide_password(address) == shown


def test_what_is_for_the_library_reaches_it_as_it_was_written():
    given = "postgresql://me:a%2Fb?c@h/db?password=c+d%20e&schema=my%20runs&options=-c%20geqo%3Doff&keep=7"
    address = server_address(given)

    assert address.conninfo == "postgresql://me:a%2Fb?c@h/db?password=c+d%20e&options=-c%20geqo%3Doff"
    assert (address.schema, address.keep) == ("my runs", 7)
    assert address.hide("no a/b?c:a/b?c@ password=c+d e=c+d%20e") == "no a/b?c:***@ password=***=***"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://postgres:hunter2@127.0.0.1:1/x", "Check host and port"),
        ("postgresql://postgres:hunter2@nowhere.invalid/x", "Check the host"),
        ("postgresql://postgres:first@hunter2@nowhere.invalid/x", "Check the host"),
        ("postgresql://postgres:hunter2@127.0.0.1:x/x", "invalid"),
        ("postgresql://postgres:hunter2@127.0.0.1/x?colour=red", "colour"),
        ("postgresql://postgres:hunter2@127.0.0.1/x?schema=pg_mine", "names no schema"),
        ("postgresql://postgres:hunter2@[::1/x", "matching"),
    ],
)
def test_what_cannot_be_reached_is_a_clear_error_without_the_password(address, said):
    with pytest.raises(StoreError) as caught:
        store_at(address).runs()

    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "postgres:***@" in str(caught.value)


# Who may do what


@pytest.fixture
def role(postgres):
    """A role of this test alone, that has no rights but to connect."""
    name = f"role_{uuid4().hex}"
    postgres.execute(f"create role {name} login")
    yield name
    postgres.execute(f"drop owned by {name}")
    postgres.execute(f"drop role {name}")


def test_a_role_that_may_only_write_rows_works_once_the_schema_is_there(postgres, postgres_address, schema, role):
    """What docs/postgresql.md tells people to grant."""
    store_at(postgres_address).migrate()
    postgres.execute(f'grant usage on schema "{schema}" to {role}')
    postgres.execute(f'grant select, insert, update, delete on all tables in schema "{schema}" to {role}')
    store = store_at(postgres.address(schema, user=role))
    claimed = claim_one(store, claim_of(tags={"env": "test"}, definition="{}"))
    everything = {"logs": [(1.0, 0, "INFO", "a", "b")], "output": [(0, 1, "stdout", 0, 1.0, b"a")]}
    write_one(store, claimed, "etl", nodes=[row(0)], **everything, state=State.SUCCEEDED, at=2.0)
    store.register(workflow("etl"))

    assert [run.state for run in store.runs()] == [State.SUCCEEDED]
    assert store.delete(["etl"]) == 1
    store.close()


def test_a_role_that_may_not_make_the_schema_is_told_who_can(postgres, schema, role):
    store = store_at(postgres.address(schema, user=role))

    with pytest.raises(StoreError, match=r"permission denied.* `aiodag migrate`"):
        claim_one(store, claim_of())
    assert store.runs() == []
    store.close()


def test_a_role_that_may_only_look_looks(postgres, postgres_address, schema, role):
    owner = store_at(postgres_address)
    claim_one(owner, claim_of())
    owner.close()
    postgres.execute(f'grant usage on schema "{schema}" to {role}')
    postgres.execute(f'grant select on all tables in schema "{schema}" to {role}')
    store = store_at(postgres.address(schema, user=role))

    assert [run.id for run in store.runs()] == ["etl"]
    with pytest.raises(StoreError, match=r"cannot write to the store .*permission denied for table"):
        claim_one(store, claim_of("other"))
    store.close()


def test_a_password_comes_from_the_usual_places(postgres, schema, role, monkeypatch, tmp_path):
    postgres.execute(f"alter role {role} password 'hunter2'")
    postgres.execute(f"grant guarded to {role}")  # of whom the server asks a password
    plain = postgres.address(schema, user=role)
    (tmp_path / "pgpass").write_text(f"127.0.0.1:*:*:{role}:hunter2\n")
    (tmp_path / "pgpass").chmod(0o600)
    (tmp_path / "service.conf").write_text(
        f"[etl]\nhost=127.0.0.1\nport={postgres.port}\nuser={role}\npassword=hunter2\n"
    )

    def answers(address):
        store = store_at(address)
        try:
            return store.runs()
        finally:
            store.close()

    with pytest.raises(StoreError, match=r"no password supplied. Give one in the address"):
        answers(plain)
    with pytest.raises(StoreError, match=r"authentication failed .*Check user and password") as caught:
        answers(postgres.address(schema, user=role, password="wrong1"))
    assert "wrong1" not in str(caught.value)
    assert answers(postgres.address(schema, user=role, password="hunter2")) == []
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSWORD", "hunter2")
        assert answers(plain) == []
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
        assert answers(plain) == []
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "service.conf"))
    assert answers(f"postgresql:///postgres?service=etl&schema={schema}") == []


def test_a_database_that_is_not_there_is_named(postgres, schema):
    with pytest.raises(StoreError, match=r'database "nothing" does not exist. Check the names'):
        store_at(postgres.address(schema, database="nothing")).runs()


def test_no_lease_runs_out_right_after_the_start_of_the_server(store, monkeypatch):
    """Its owner could not renew it while the server was away. One that let go of its run, or has ended, is not waited for."""
    monkeypatch.setattr("aiodag.stores.sql.postgres.GRACE", 1e6)
    away = claim_of(owner=ELSEWHERE, lease=-60.0)
    claims = store.claim_all([away._replace(id=name) for name in ("etl", "left")])
    store.release([claims[1]])
    claim_one(store, claim_of("ended", owner=GONE, lease=-60.0))

    with pytest.raises(RunOwned, match="another-host"):
        claim_one(store, claim_of())
    assert [claim_one(store, claim_of(name)).execution for name in ("left", "ended")] == [2, 2]


# Versions of the schema


def test_looking_makes_no_schema(postgres, postgres_address, schema):
    store = store_at(postgres_address)

    assert (store.runs(), store.nodes("etl"), store.registered(), store.unregister("etl")) == ([], [], [], False)
    assert postgres.execute("select 1 from pg_namespace where nspname = %s", (schema,)) == []
    store.close()


def test_a_schema_of_somebody_else_is_refused_and_left_as_it_is(postgres, postgres_address, schema):
    postgres.execute(f'create schema "{schema}" create table runs (mine text)')

    for change in (lambda store: store.runs(), lambda store: claim_one(store, claim_of())):
        with pytest.raises(StoreError, match="is not a store of aiodag: name another one"):
            change(store_at(postgres_address))
    assert postgres.execute("select * from runs", schema=schema) == []


@pytest.mark.parametrize("extra", ["?", ":id", "--", "%s", "'\"{schema}\\ "])
def test_a_schema_may_have_any_name(postgres, schema, extra):
    name = f"{schema}{extra}"[-40:]
    store = store_at(postgres.address(quote(name, safe="")))

    assert claim_one(store, claim_of()).execution == 1
    assert postgres.execute("select count(*) from pg_namespace where nspname = %s", (name,)) == [(1,)]
    store.close()
    postgres.execute(f'drop schema "{name.replace(chr(34), chr(34) * 2)}" cascade')


def test_an_empty_schema_that_somebody_has_made_is_taken(postgres, postgres_address, schema):
    postgres.execute(f'create schema "{schema}"')
    store = store_at(postgres_address)

    assert claim_one(store, claim_of()).execution == 1
    store.close()


def test_a_newer_schema_is_refused(postgres, store, schema):
    store.migrate()
    store.close()
    postgres.execute("update store set version = 999", schema=schema)

    for change in (store.runs, store.migrate, lambda: claim_one(store, claim_of())):
        with pytest.raises(StoreError, match="has version 999, made by a newer aiodag"):
            change()


def test_an_older_schema_is_refused_until_somebody_migrates(postgres, store, schema, monkeypatch):
    claim_one(store, claim_of())
    store.close()
    steps = [*server_steps(), "alter table runs add column colour text;"]
    monkeypatch.setattr("aiodag.stores.sql.server.server_steps", lambda: steps)

    for change in (store.runs, lambda: claim_one(store, claim_of("other"))):
        with pytest.raises(StoreError, match=r"has version \d+, and this aiodag needs \d+: run `aiodag migrate"):
            change()
    assert store.migrate() == (len(steps) - 1, len(steps))
    assert store.migrate() == (len(steps), len(steps))
    assert [run.id for run in store.runs()] == ["etl"]
    assert postgres.execute("select colour from runs", schema=schema) == [(None,)]


def test_a_step_that_fails_changes_nothing(postgres, store, schema, monkeypatch):
    store.migrate()
    store.close()
    steps = [*server_steps(), "alter table runs add column colour text; select 1 / 0;"]
    monkeypatch.setattr("aiodag.stores.sql.server.server_steps", lambda: steps)

    with pytest.raises(StoreError, match=r"cannot migrate the store .*division by zero"):
        store.migrate()
    assert postgres.execute("select version from store", schema=schema) == [(len(steps) - 1,)]
    with pytest.raises(Exception, match="colour"):
        postgres.execute("select colour from runs", schema=schema)


def test_processes_that_make_the_schema_at_once_make_it_once(postgres, postgres_address, schema):
    command = [sys.executable, "-m", "aiodag", "migrate", "--store", postgres_address]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = sorted(process.communicate()[0].strip().removeprefix(postgres_address) for process in both)

    told = f" has version {len(server_steps())}: there is nothing to do"
    assert said == [told] * 2 + [" is made"]
    assert postgres.execute("select version from store", schema=schema) == [(len(server_steps()),)]


# Rows


def test_values_come_back_whatever_is_in_them(store):
    values = ["", '"a"', "a\0b", "\x01", "\x01bAA==", b"", b"\0\xff", "\u2028\U0001f600", "\\u0000", "x" * 10_000_000]
    claimed = claim_one(store, claim_of())
    write_one(store, claimed, "etl", nodes=[row(number, value=value) for number, value in enumerate(values)])
    write_one(store, claimed, "etl", cache=[(f"k{at}", "t", "json", value, 1.0) for at, value in enumerate(values)])

    assert [node.value for node in store.nodes("etl")] == values
    assert [store.known_nodes("etl")[f"key{number}"].value for number in range(len(values))] == values
    assert [store.cached_value(f"k{number}", 0.0)[1] for number in range(len(values))] == values


def test_a_text_with_nul_is_kept_with_a_sign_in_its_place(store):
    claimed = claim_one(store, claim_of())
    write_one(store, claimed, "etl", logs=[(1.0, 0, "INFO", "app", "a\0b")], nodes=[row(0, error="no\0")])

    assert [line.text for line in store.logs("etl")] == ["a␀b"]
    assert store.nodes("etl")[0].error == "no␀"
    with pytest.raises(UnknownRun):
        store.run("a\0b")


def test_tags_with_nul_come_back_and_are_found(store):
    tags = {"day\0": "\0\0a\\\0", "path": "\\u0000 \\\\u0000"}
    claim_one(store, claim_of(tags=tags))

    assert store.run("etl").tags == tags
    assert [[run.id for run in store.runs(wanted=RunFilter(tags={name: value}))] for name, value in tags.items()] == [
        ["etl"],
        ["etl"],
    ]


def test_a_batch_that_cannot_be_written_is_refused_alone(store):
    claims = [claim_of(name) for name in ("good", "bad", "better")]
    claimed = store.claim_all(claims)
    odd = {"good": "1", "bad": "\ud800", "better": "2"}
    writes = [
        Write(each, claim.id, Batch(nodes=[row(0, value=odd[claim.id])]))
        for each, claim in zip(claimed, claims, strict=True)
    ]
    errors = store.write_all(writes)

    assert [type(error) for error in errors] == [type(None), StoreError, type(None)]
    assert [len(store.nodes(claim.id)) for claim in claims] == [1, 0, 1]


def test_a_row_that_is_too_large_is_refused_alone(store, monkeypatch):
    monkeypatch.setattr("aiodag.stores.sql.postgres_text.TOO_LARGE", 10_000)
    monkeypatch.setattr("aiodag.stores.sql.postgres_text.LARGEST_ROW", 20_000)
    claimed = claim_one(store, claim_of())
    write_one(store, claimed, "etl", nodes=[row(number, value="x" * 9000) for number in range(10)])

    assert len(store.nodes("etl")) == 10
    with pytest.raises(StoreError, match="is too large for PostgreSQL"):
        write_one(store, claimed, "etl", nodes=[row(11, value="x" * 20_001)])
    assert len(store.nodes("etl")) == 10


def test_a_damaged_row_says_what_cannot_be_read(store, postgres, schema):
    claimed = claim_one(store, claim_of())
    write_one(store, claimed, "etl", nodes=[row(0), row(1)])
    postgres.execute("update runs set state = 'x', owner = '['", schema=schema)
    postgres.execute("update nodes set state = 'done', value = e'\\x01b?' where number = 0", schema=schema)

    assert store.run("etl").damaged == "state='x', owner='['"
    assert [node.damaged for node in store.nodes("etl")] == ["state='done'", ""]
    assert list(store.known_nodes("etl")) == ["key1"]
    postgres.execute("update runs set owner = null", schema=schema)
    assert claim_one(store, claim_of()).execution == 2


# Connections


def connections(postgres, name):
    return postgres.execute("select count(*) from pg_stat_activity where application_name = %s", (name,))[0][0]


async def test_many_runs_and_looks_take_two_connections(postgres, postgres_address, schema):
    address = f"{postgres_address}&application_name={schema}"
    everybody, counted = asyncio.Barrier(201), asyncio.Event()

    @task(cache=True)
    async def one(number):
        await everybody.wait()
        await counted.wait()
        return number

    async def run(number):
        async with Run("many", store=address):
            one(number)

    async with asyncio.TaskGroup() as group:
        for number in range(200):
            group.create_task(run(number))
        await everybody.wait()
        service = Service(address)
        assert len(await asyncio.to_thread(service.runs, state="running")) == 200
        found = connections(postgres, schema)
        counted.set()
    service.close()

    assert found == 2
    # The server's process ends a moment after its connection: many looks, and a leak is still found.
    assert any(connections(postgres, schema) == 0 for _ in range(10_000))


def test_a_look_goes_on_when_the_server_has_ended_its_connection(postgres, postgres_address, schema):
    store = store_at(f"{postgres_address}&application_name={schema}")
    claim_one(store, claim_of())
    before = store.runs()
    postgres.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s", (schema,))
    while connections(postgres, schema):
        pass

    assert store.runs() == before
    assert claim_one(store, claim_of("other")).execution == 1
    store.close()


def test_a_fork_takes_no_connection_from_its_parent(store):
    claim_one(store, claim_of())
    pid = os.fork()
    if not pid:
        seen = 99
        try:
            seen = len(store.runs())
        finally:
            os._exit(seen)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert len(store.runs()) == 1


def test_a_process_with_many_open_files_reaches_its_store(store):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limits[1]), limits[1]))
    there = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        claim_one(store, claim_of())
        assert len(store.runs()) == len(store.runs()) == 1
        write_one(store, claim_one(store, claim_of("tuesday")), "tuesday", state=State.SUCCEEDED, at=9.0)
    finally:
        for each in there:
            os.close(each)
        store.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_lock_of_somebody_else_is_not_waited_for_for_ever(store, monkeypatch):
    monkeypatch.setattr("aiodag.stores.sql.postgres.PATIENCE", 0.01)
    claim_one(store, claim_of())
    with store.apart().writing() as session:
        session.execute("update runs set error = ''")
        other = PostgreSQL(f"{store.address.conninfo}?schema={store.address.schema}&application_name=other")
        with pytest.raises(StoreError, match="Somebody has held what this needs"):
            claim_one(other, claim_of(owner=GONE))
        other.close()


@pytest.mark.parametrize("often", [1, 99])
def test_a_transaction_that_the_server_has_undone_begins_anew_but_not_for_ever(store, often):
    undone = []

    def act(session):
        now = session.now()
        if len(undone) < often:
            undone.append(now)
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        return now

    for transact in (store.transact, lambda act: store.commit("it", act)):
        undone.clear()
        if often == 1:
            assert transact(act) >= undone[0]
        else:
            with pytest.raises(StoreUnreachable, match="deadlock"):
                transact(act)


def test_who_comes_while_another_takes_a_turn_does_not_wait_for_it(store, postgres, schema):
    entry = {"file": "/srv/etl.py", "task": "main", "parameters": {}}
    store.put_queue("default", rate=10, per=1.0)
    store.submit(Submission("monday", "main", entry, "/srv/etl.py:main", at=5.0))

    with psycopg.connect(postgres.address(schema).partition("?")[0]) as another:
        another.execute(f"update {schema}.queues set next_at = 0.0")
        assert store.take_queued(Owner.here(), ["default"], 1, lease=60.0) == []
    assert [taken.record.id for taken in store.take_queued(Owner.here(), ["default"], 1, lease=60.0)] == ["monday"]


def test_a_due_moment_is_told_by_the_clock_of_the_server(store, monkeypatch):
    entry = {"file": "/srv/etl.py", "task": "main", "parameters": {}}
    at = time.time() + 3600.0
    store.submit(Submission("monday", "main", entry, "/srv/etl.py:main", at=5.0, starts_at=at))
    monkeypatch.setattr("time.time", lambda: at + 3600.0)

    assert store.due_in() == pytest.approx(3600.0, abs=1800.0)


def test_a_process_that_stands_still_in_a_transaction_holds_up_nobody_for_long(store, postgres, schema, monkeypatch):
    claim_one(store, claim_of())
    with monkeypatch.context() as impatient:
        impatient.setattr("aiodag.stores.sql.postgres.STANDSTILL", 0.05)
        with pytest.raises(StoreUnreachable), store.apart().writing() as still:
            still.execute("update runs set name = 'still'")
            postgres.execute(f"set lock_timeout to '60s'; update {schema}.runs set name = 'other'")
            still.execute("update runs set name = 'late'")
    assert [run.name for run in store.runs()] == ["other"]


def test_what_the_time_limit_of_a_role_ends_may_go_well_soon(store):
    """As where somebody holds a lock for long: runs wait for that, and must not end because a role has less time for it."""
    claim_one(store, claim_of())
    # Long enough for what is not held up, also where the machine is busy.
    other = PostgreSQL(f"{store.address.conninfo}?schema={store.address.schema}&options=-c%20statement_timeout%3D1000")
    with store.apart().writing() as session:
        session.execute("update runs set error = ''")
        with pytest.raises(StoreUnreachable), other.writing() as late:
            late.execute("update runs set error = 'late'")
    assert claim_one(other, claim_of("tuesday")).execution == 1
    other.close()


# The page


def test_the_statements_of_the_page_work(postgres, schema):
    """Each block of SQL on docs/postgresql.md, in order, around the migration that it tells about."""
    page = (ROOT / "docs" / "postgresql.md").read_text(encoding="utf-8")
    # Roles and databases are of the whole server: each has a name of this test.
    mine = {name: f"{name}_{schema}" for name in ("etl_admin", "etl", "runs")}

    def renamed(text):
        text = re.sub(
            r"(database|to|role|for role) (etl_admin|etl|runs)\b", lambda found: f"{found[1]} {mine[found[2]]}", text
        )
        return text

    def execute(statement):
        with psycopg.connect(
            postgres.address("x", database=mine["runs"]).partition("?")[0], autocommit=True
        ) as connection:
            connection.execute(statement)

    roles, rows, durability, queries = re.findall(r"^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    postgres.execute(f"create database {mine['runs']}")
    execute(renamed(roles))
    admin = store_at(postgres.address("aiodag", database=mine["runs"], user=mine["etl_admin"]))
    admin.migrate()
    admin.close()
    execute(renamed(rows) + renamed(durability))
    store = store_at(postgres.address("aiodag", database=mine["runs"], user=mine["etl"]))
    write_one(store, claim_one(store, claim_of()), "etl", nodes=[row(0, value='{"rows": 3}')])
    execute(queries)
    seen = len(store.nodes("etl"))
    store.close()
    postgres.execute(f"drop database {mine['runs']} with (force)")
    for role in ("etl", "etl_admin"):
        postgres.execute(f"drop role {mine[role]}")

    assert seen == 1


# The command line


PROGRAM = """
from aiodag import current_run, task


@task
async def main(fail=False):
    if fail:
        raise ValueError("no")
    return str(current_run().store)
"""


@pytest.fixture
def typed(capsys, tmp_path, monkeypatch, modules_forgotten):
    """Type a command; return its exit code and everything that it wrote."""
    program = f"etl_{uuid4().hex}.py"  # a file is loaded once in a process
    (tmp_path / program).write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)

    def call(*argv):
        code = main([program if word == "etl.py" else word for word in argv])
        out, errors = capsys.readouterr()
        return code, f"{out}{errors}"

    return call


def test_no_command_prints_a_password(postgres, schema, role, typed, monkeypatch):
    monkeypatch.setattr("aiodag.stores.sql.postgres.GRACE", 0.0)
    address = postgres.address(schema, password="hunter2")
    store_at(address).migrate()
    monkeypatch.setenv("AIODAG_STORE", address)
    commands = [
        "info",
        "info --json",
        "run etl.py --id one",
        "run etl.py -p fail=yes --id two --json",
        "resume two",
        "resume three",
        "plan two",
        "runs",
        "runs --json",
        "show one",
        "show two --json",
        "show oen",
        "log two",
        "graph one",
        "submit etl.py",
        "queues",
        "cancel one",
        "backup runs.db",
        "migrate --json",
        "migrate",
        f"copy {address} runs.db",
        f"copy runs.db {address}",
        "delete one",
        f"runs --store {address}&colour=red",
        f"runs --store {address.replace('postgresql', 'mysql')}",
        f"runs -v --store {postgres.address(schema, password='hunter2', database='nothing')}",
        f"runs -v --store {postgres.address(schema, password='hunter2', user=role)}",
    ]
    said = {command: typed(*command.split()) for command in commands}
    shown = postgres.address(schema, password="***")
    service = Service(address)
    lines = [str(line) for run in service.runs() for line in service.logs(run.id)]
    service.close()

    assert [command for command, (_, text) in said.items() if "hunter2" in text] == []
    assert "hunter2" not in "".join(lines)
    assert shown in said["info"][1]
    assert json.loads(said["migrate --json"][1]) == {
        "store": shown,
        "from": len(server_steps()),
        "to": len(server_steps()),
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"database": "nothing"}, "Check the names"),
        ({"user": "nobody_here"}, "Check the names"),
        ({"schema": "pg_catalog"}, "names no schema"),
        ({"colour": "red"}, "colour"),
    ],
)
@pytest.mark.parametrize("command", ["runs", "run etl.py", "submit etl.py", "migrate"])
def test_a_store_that_cannot_be_used_is_said_in_a_line_with_exit_code_2(postgres, schema, typed, command, given, said):
    code, text = typed(*command.split(), "--store", postgres.address(**{"schema": schema, **given}))

    assert code == 2
    assert said in text
    assert "Traceback" not in text
    assert text.count("\n") == 1


def test_without_psycopg_the_command_says_what_to_install(tmp_path):
    """Imported as if it were not there: by its name alone, `-m` finds a package of that name that cannot be imported."""
    (tmp_path / "psycopg.py").write_text("raise ImportError")
    done = subprocess.run(
        [sys.executable, "-m", "aiodag", "runs", "--store", "postgresql://localhost/runs"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        check=False,
    )

    assert done.returncode == 2
    assert "pip install 'aiodag[postgres]'" in done.stderr


# Deleting


def rows_in(postgres, schema):
    """How many rows there are in each table that has some and is about runs."""
    tables = [name for (name,) in postgres.execute("select tablename from pg_tables where schemaname = %s", (schema,))]
    counts = {name: postgres.execute(f"select count(*) from {name}", schema=schema)[0][0] for name in tables}
    return {name: count for name, count in counts.items() if count and name not in {"store", "leases"}}


def test_deleting_leaves_nothing_of_a_run_in_any_table(store, postgres, schema):
    claimed = claim_one(store, claim_of(definition="{}", tags={"env": "test"}))
    everything = {
        "nodes": [row(number) for number in range(600)],
        "edges": [(0, 0, False, False)],
        "attempts": [(0, 1, State.FAILED, 1.0, 2.0, "")],
        "logs": [(1.0, 0, "INFO", "a", "b")],
        "facts": [(0, 1, "{}")],
        "output": [(0, 1, "stdout", 0, 1.0, b"a")],
        "functions": [("main", "etl", False)],
    }
    write_one(store, claimed, "etl", **everything)
    before = rows_in(postgres, schema)
    store.delete(["etl"])

    assert sorted(before) == sorted({*everything, "runs", "tags", "definitions"})
    assert rows_in(postgres, schema) == {}


# Encrypted


@pytest.fixture
def encrypted(tmp_path):
    """A server that takes encrypted connections, with a certificate for 127.0.0.1 that it has made itself."""
    server = PostgresServer(**QUICK, ssl="on", ssl_cert_file="server.crt", ssl_key_file="server.key")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    made = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key", "-out", "server.crt"]
    subprocess.run([*request, *made], check=True, capture_output=True, cwd=server.data, **server.user)
    (tmp_path / "root.crt").write_bytes(Path(server.data, "server.crt").read_bytes())
    try:
        yield server.start()
    finally:
        server.remove()


def test_the_address_says_how_the_connection_is_encrypted(encrypted, postgres, schema, tmp_path):
    """`sslmode=verify-full`: only to the server that has the certificate."""
    trusted = {"sslmode": "verify-full", "sslrootcert": tmp_path / "root.crt"}
    store = store_at(encrypted.address(schema, **trusted))
    claim_one(store, claim_of())
    used = encrypted.execute(
        "select ssl from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'aiodag'"
    )
    store.close()

    assert used == [(True,)]
    for server, options in ((encrypted, {"sslmode": "verify-full"}), (postgres, trusted)):
        with pytest.raises(StoreError, match=r"root certificate|does not support SSL"):
            store_at(server.address(schema, **options)).runs()
