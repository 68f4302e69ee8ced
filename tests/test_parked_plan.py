"""Before code is deployed: which parked runs would not find in it what they wait for."""

import asyncio
import json
import textwrap

import pytest
from test_cli_queue import run_command
from test_worker import Working
from worker_processes import until

from aiodag.service import Service
from aiodag.service.resumption import ParkedPlan

OLD = """
    import sys

    from aiodag import task
    from aiodag.messages import message, begin_again

    @task
    async def charge(name: str) -> int:
        return 3

    @task
    async def delivered(name: str) -> str:
        return await message("DELIVERED", key=name)

    async def order(name: str, step: str = "paid") -> str:
        charged = await charge(name)
        try:
            if step == "delivered":
                return await delivered(name)
            return await message("PAID", key=name)
        except BaseException as error:
            print("undone:", type(error).__name__, file=sys.stderr)
            raise

    async def months(name: str, month: int = 1) -> None:
        if month < 3:
            begin_again(name=name, month=month + 1)
        await message("RENEWED", key=f"{name} {month}")
"""


def edited(*changes, text=OLD):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return textwrap.dedent(text)


@pytest.fixture
def here(tmp_path, monkeypatch, modules_forgotten):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIODAG_STORE", "runs.db")
    (tmp_path / "parked_v1.py").write_text(edited())
    return tmp_path


@pytest.fixture
def service(here):
    service = Service("runs.db")
    yield service
    service.close()


async def park(service, task, **parameters):
    """A run that waits, and that nobody has."""
    run_id = service.submit(f"parked_v1.py:{task}", parameters)
    async with Working(service, linger=0.0):
        await until(lambda: service.run(run_id).state == "parked", "the run is parked")
    return run_id


async def plan(service, here, text, name="order"):
    file = here / f"parked_{len(list(here.glob('parked_*.py')))}.py"  # each is imported once
    file.write_text(text)
    return await service.plan_parked(name, file.name)


async def test_code_that_waits_for_the_same_finds_it(service, here, capsys):
    run_id = await park(service, "order", name="A17")

    planned = await plan(
        service,
        here,
        edited(("return 3", "return 4"), ('message("PAID", key=name)', 'message("PAID", key=name, timeout=60)')),
    )

    assert planned == [ParkedPlan(run_id)]
    assert "undone: CancelledError" not in capsys.readouterr().err


async def test_code_that_waits_for_something_else_does_not_find_it(service, here):
    run_id = await park(service, "order", name="A17")

    (planned,) = await plan(service, here, edited(('"PAID"', '"PAID_IN_FULL"')))

    assert (planned.run, planned.finds, planned.first) == (run_id, False, ())
    assert "PAID" in planned.lost[0]


async def test_what_would_run_before_is_said(service, here):
    await park(service, "order", name="A17")

    (planned,) = await plan(service, here, edited(("await charge(name)", "await charge(name + '!')")))

    assert (planned.finds, planned.first) == (False, ("charge('A17!')",))


async def test_a_wait_in_a_body_that_waits_is_found_without_running_what_is_not_recalled(service, here):
    run_id = await park(service, "order", name="A17", step="delivered")

    found = await plan(service, here, edited())
    lost = await plan(service, here, edited(('"DELIVERED", key=name', '"DELIVERED", key=f"{name}!"')))

    assert found == [ParkedPlan(run_id)]
    assert [each.finds for each in lost] == [False]


async def test_a_run_that_has_begun_again_is_looked_at_in_its_last_generation(service, here):
    run_id = await park(service, "months", name="A17")

    found = await plan(service, here, edited(), name="months")
    lost = await plan(service, here, edited(('"RENEWED"', '"RENEWAL"')), name="months")

    assert found == [ParkedPlan(run_id)]
    assert [each.finds for each in lost] == [False]


async def test_code_that_does_not_take_the_arguments_is_said(service, here):
    await park(service, "order", name="A17")

    (planned,) = await plan(service, here, edited(("order(name: str,", "order(number: str,")))

    assert not planned.finds
    assert "number" in planned.why


def test_the_command_says_which_and_ends_with_1(service, here, capsys):
    asyncio.run(park(service, "order", name="A17"))
    asyncio.run(park(service, "order", name="B4"))
    (here / "parked_v2.py").write_text(edited(("key=name)", 'key=name.replace("B", "C"))')))
    (here / "parked_v3.py").write_text(edited())
    (here / "parked_v4.py").write_text(edited(("await charge(name)", "await charge(name + '!')")))

    unsure = run_command(capsys, "plan", "--parked", "order", "parked_v4.py", code=1).out
    lost = run_command(capsys, "plan", "--parked", "order", "parked_v2.py", code=1).out
    found = run_command(capsys, "plan", "--parked", "order", "parked_v3.py").out
    document = json.loads(run_command(capsys, "plan", "--parked", "order", "parked_v3.py", "--json").out)
    nothing = run_command(capsys, "plan", "--parked", "invoice", "parked_v3.py").out

    assert "waits for message('PAID', 'B4')" in lost
    assert "and would run charge('B4!') first" in unsure
    assert unsure.endswith("2 parked runs of order: 0 would find what they wait for, 0 would not, 2 may\n")
    assert lost.endswith("2 parked runs of order: 1 would find what they wait for, 1 would not\n")
    assert found == "2 parked runs of order: 2 would find what they wait for, 0 would not\n"
    assert [each["lost"] for each in document] == [[], []]
    assert nothing == "0 parked runs of invoice: 0 would find what they wait for, 0 would not\n"


def test_code_that_is_not_there_is_refused_before_parked_runs_are_looked_for(here, capsys):
    assert "no such file" in run_command(capsys, "plan", "--parked", "order", "nowhere.py", code=2).err


def test_a_name_that_no_run_has_is_told_to_who_plans_for_parked_runs(service, here, capsys):
    (here / "parked_nowhere.py").write_text("")

    said = run_command(capsys, "plan", "--parked", "odrer", "parked_nowhere.py")
    assert "0 parked runs of odrer" in said.out
    assert "has the name 'odrer'" in said.err
