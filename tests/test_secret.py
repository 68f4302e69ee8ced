"""Secrets: read when an attempt starts, known by their names, shown nowhere."""

import asyncio
import copy
import logging
import pickle

import pytest
from process_bodies import length_of

from aiodag import NoSecret, OptionError, Run, RunFailed, Secret, SecretInValue, opaque, plan, task

TOKEN = "tr0ub4dor&3-first"
ROTATED = "tr0ub4dor&3-second"


@pytest.fixture(autouse=True)
def token(monkeypatch, secrets_forgotten):
    monkeypatch.setenv("APP_TOKEN", TOKEN)


@task
async def received(*args, **kwargs):
    SEEN.append((args, kwargs))


SEEN = []


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()


async def test_a_body_receives_the_text():
    await received(Secret("APP_TOKEN"), word=Secret("APP_TOKEN"))

    assert SEEN == [((TOKEN,), {"word": TOKEN})]


async def test_a_secret_is_found_at_any_depth_of_plain_containers():
    secret = Secret("APP_TOKEN")
    given = [secret, {"headers": [("Authorization", secret)], secret: {1}}, frozenset({secret}), {"other": [1]}]

    await received(given)

    expected = [TOKEN, {"headers": [("Authorization", TOKEN)], TOKEN: {1}}, frozenset({TOKEN}), {"other": [1]}]
    assert [((expected,), {})] == SEEN
    assert SEEN[0][0][0][3] is given[3]


async def test_a_secret_and_an_edge_arrive_together():
    @task
    async def rows():
        return 3

    await received({"rows": rows(), "token": Secret("APP_TOKEN")})

    assert SEEN == [(({"rows": 3, "token": TOKEN},), {})]


def test_a_plain_function_receives_the_text_in_its_thread_and_in_a_process():
    @task
    def seen(text):
        return len(text)

    async def main():
        return await seen(Secret("APP_TOKEN")), await task(length_of, executor="process")(Secret("APP_TOKEN"))

    assert asyncio.run(main()) == (len(TOKEN), len(TOKEN))


async def test_a_method_and_a_raw_task_receive_the_text():
    class Client:
        @task
        async def login(self, password):
            return len(password)

    @task(raw=True)
    async def raw(future):
        return len(future.result())

    assert await Client().login(Secret("APP_TOKEN")) == await raw(Secret("APP_TOKEN")) == len(TOKEN)


async def test_a_secret_declared_as_a_default_is_read_like_an_argument():
    @task
    async def login(user, password=Secret("APP_TOKEN"), /, *, token=Secret("APP_TOKEN")):
        SEEN.append((user, password, token))

    await login("anna")
    await login("anna", "of my own")

    assert SEEN == [("anna", TOKEN, TOKEN), ("anna", "of my own", TOKEN)]


async def test_what_is_opaque_arrives_as_the_secret_itself():
    await received(opaque(Secret("APP_TOKEN")), Secret("APP_TOKEN"))

    assert [((Secret("APP_TOKEN"), TOKEN), {})] == SEEN


async def test_each_attempt_reads_anew(monkeypatch):
    @task(retries=1)
    async def call(token):
        SEEN.append(token)
        if len(SEEN) == 1:
            monkeypatch.setenv("APP_TOKEN", ROTATED)
            raise ConnectionRefusedError

    await call(Secret("APP_TOKEN"))

    assert SEEN == [TOKEN, ROTATED]


async def test_it_is_read_when_the_attempt_starts_and_not_at_the_call(monkeypatch):
    node = received(Secret("APP_TOKEN"))
    monkeypatch.setenv("APP_TOKEN", ROTATED)
    await node

    assert SEEN == [((ROTATED,), {})]


async def test_a_file_and_a_function_can_have_it(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n\n")

    await received(Secret("FILED", file=file), Secret("KEPT", get=lambda: TOKEN))

    assert SEEN == [((TOKEN, TOKEN), {})]


async def test_it_can_be_awaited_and_read():
    assert await Secret("APP_TOKEN") == Secret("APP_TOKEN").read() == TOKEN


def wrong():
    raise KeyError("vault")


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (Secret("MISSING_TOKEN"), "secret 'MISSING_TOKEN' is not a variable of the environment"),
        (Secret("SHORT_TOKEN"), "secret 'SHORT_TOKEN' has fewer than 6 characters"),
        (Secret("GONE", file="gone/token"), "secret 'GONE' cannot be read: gone/token: No such file"),
        (Secret("VAULT", get=wrong), "secret 'VAULT' cannot be read: its get= raised KeyError"),
        (Secret("VAULT", get=lambda: b"bytes!"), "secret 'VAULT' cannot be read: its get= returned bytes"),
    ],
)
async def test_a_secret_that_cannot_be_had_fails_the_node_before_its_body(monkeypatch, secret, why):
    monkeypatch.setenv("SHORT_TOKEN", "abc")

    with pytest.raises(NoSecret) as caught:
        await received(secret)

    assert str(caught.value).startswith(why)
    assert "abc" not in str(caught.value)
    assert SEEN == []


@pytest.mark.parametrize("name", ["", "A=B", "A\0", "two\nlines", 7, None])
def test_a_name_that_no_variable_can_have_is_refused(name):
    with pytest.raises(OptionError):
        Secret(name)


def test_nothing_can_wait_for_a_secret():
    with pytest.raises(TypeError, match="not awaitable"):
        task(wrong, Secret("APP_TOKEN"))


def test_no_text_of_a_secret_shows_its_value():
    secret = Secret("APP_TOKEN")
    secret.read()

    assert [repr(secret), str(secret), f"{secret}", f"{[secret]}"] == ["Secret('APP_TOKEN')"] * 3 + [
        "[Secret('APP_TOKEN')]"
    ]
    assert TOKEN.encode() not in pickle.dumps(secret)
    assert pickle.loads(pickle.dumps(secret)) == copy.deepcopy(secret) == secret


def test_planning_reads_what_the_planned_function_is_given():
    async def etl(token):
        SEEN.append(token)
        await received(token)

    graph = plan(etl, Secret("APP_TOKEN"))

    assert SEEN == [TOKEN]
    assert [node.label for node in graph.nodes] == ["received('***')"]


async def test_labels_show_a_mark():
    @task
    async def refuse(user, token):
        raise PermissionError(f"{user} has no {token}")

    async with Run("etl") as run:
        with pytest.raises(PermissionError):
            await refuse("anna", Secret("APP_TOKEN"))
        node = refuse("anna", TOKEN)
        with pytest.raises(PermissionError):
            await node

    labels = [each.label for each in run.graph().nodes]
    assert labels == ["refuse('anna', ***)", "refuse('anna', '***')"]
    assert str(node.failure) == "refuse('anna', '***') failed: PermissionError: anna has no ***"


async def test_a_failed_run_reports_without_the_value():
    @task
    async def refuse(token):
        raise PermissionError(f"no: {token}")

    with pytest.raises(RunFailed) as caught:
        async with Run("etl"):
            refuse(Secret("APP_TOKEN"))

    assert "PermissionError: no: ***" in str(caught.value)
    assert TOKEN not in str(caught.value)


# With a store


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path):
    return str(tmp_path / "runs.db") if request.param == "file" else f"memory:{tmp_path}"


class Declined(Exception):
    def __init__(self, why, token, body):
        super().__init__(why, token, body)
        self.token = token
        self.answer = {token: [body]}


async def test_a_recorded_exception_has_marks_and_is_still_of_its_type(store, service_at):
    @task
    async def charge(token):
        error = Declined(f"not with {token!r}", token, token.encode())
        error.add_note(f"sent {token}")
        raise error from ValueError(token)

    with pytest.raises(RunFailed):
        async with Run("shop", store=store, id="r"):
            charge(Secret("APP_TOKEN"))

    error = service_at(store).error("r", "charge")
    assert type(error) is Declined
    assert error.args == ("not with '***'", "***", b"***")
    assert (error.token, error.answer) == ("***", {"***": [b"***"]})
    assert TOKEN not in service_at(store).nodes("r")[0].error


@pytest.mark.parametrize("codec", ["json", "pickle"])
@pytest.mark.parametrize(
    "value",
    [TOKEN, {"deep": [(f"Bearer {TOKEN}",)]}, {TOKEN: 1}, TOKEN.encode(), b"\xff" + TOKEN.encode()],
    ids=["itself", "nested", "a key", "bytes", "binary"],
)
async def test_a_value_that_holds_a_secret_fails_its_node(store, value, codec):
    @task(codec=codec)
    async def session(token):
        return value

    with pytest.raises(SecretInValue, match=r"value of .*session.* holds the text of the secret 'APP_TOKEN'"):
        async with Run("shop", store=store, id="r"):
            await session(Secret("APP_TOKEN"))


async def test_a_value_that_is_not_recorded_passes_unaltered(store):
    @task(journal=False)
    async def header(token):
        return f"Bearer {token}"

    async with Run("shop", store=store, id="r"):
        assert await header(Secret("APP_TOKEN")) == f"Bearer {TOKEN}"


async def test_a_key_has_the_name_of_a_secret_and_not_its_value(store, monkeypatch):
    @task
    async def login(token):
        SEEN.append(token)

    @task(journal=False)
    async def main(token):
        await login(Secret("APP_TOKEN"))
        await login([token, 1])

    async def run():
        async with Run("shop", store=store, id="r"):
            main(Secret("APP_TOKEN"))

    await run()
    monkeypatch.setenv("APP_TOKEN", ROTATED)
    await run()

    assert SEEN == [TOKEN, [TOKEN, 1]]


async def test_another_secret_is_another_node(store, monkeypatch):
    monkeypatch.setenv("OTHER_TOKEN", ROTATED)
    for name in ("APP_TOKEN", "OTHER_TOKEN"):
        async with Run("shop", store=store, id="r"):
            await received(Secret(name))

    assert SEEN == [((TOKEN,), {}), ((ROTATED,), {})]


async def test_one_name_in_two_files_is_two_secrets(store, tmp_path):
    @task(cache=True)
    async def rows_of(token):
        SEEN.append(token)

    @task
    async def load(token):
        await rows_of([token])  # its text

    for tenant in ("tenant-one", "tenant-two"):
        (tmp_path / tenant).write_text(tenant)
        secret = Secret("TENANT_TOKEN", file=tmp_path / tenant)
        async with Run("shop", store=store, id=tenant):
            await rows_of(secret)
            await load(secret)

    assert SEEN == ["tenant-one", ["tenant-one"], "tenant-two", ["tenant-two"]]


async def test_lines_that_bodies_log_are_masked(store, service_at):
    @task
    async def chat(token):
        logging.getLogger("chat").warning("saying %s", token)

    async with Run("shop", store=store, id="r"):
        await chat(Secret("APP_TOKEN"))

    assert [line.text for line in service_at(store).logs("r")] == ["saying ***"]
