"""Schedulers in processes of their own, on one store: what one leaves the next one takes up, and nothing is done twice."""

import random
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from worker_processes import PATIENCE, lines_of, until

from aiodag.service import Service

FLOW = f"{Path(__file__).with_name('scheduled_flow.py')}:main"
SCHEDULES, MOMENTS = 4, 30


@pytest.fixture
def service(address):
    service = Service(address)
    yield service
    service.close()


def put_from(service, name, trigger, first, *args, **policy):
    """Put a schedule that goes on with its first moment, however long putting it takes on a busy machine."""
    service.put_schedule(name, FLOW, trigger, *args, **policy)
    service.store.set_schedule_state(name, "active", first.timestamp())


async def test_schedulers_that_are_killed_at_any_moment_leave_no_moment_out_and_do_none_twice(
    service, workers, tmp_path
):
    ledger, chance = tmp_path / "ledger", random.Random(7)
    text = "${{ release.schedule }}/${{ release.logical_date | isoformat }}"
    first = datetime.now(UTC) + timedelta(seconds=1)
    moments = [(first + timedelta(seconds=0.1 * number)).isoformat() for number in range(MOMENTS)]
    for number in range(SCHEDULES):
        put_from(
            service,
            f"s{number}",
            {"moments": moments},
            first,
            {"day": text, "ledger": str(ledger)},
            overlap="allow",
            catch_up="all",
        )

    def have_ended():
        ended = len(service.store.ended_runs(before=None, keep=0))
        living = workers.living()
        if len(living) < 2:
            workers.start("--quiet")
        elif ended < SCHEDULES * MOMENTS and len(workers.started) < 10 and chance.random() < 0.1:
            chance.choice(living).kill()
        return ended == SCHEDULES * MOMENTS

    await until(have_ended, "all runs end")

    runs = Counter((run.schedule, run.tags["logical_date"]) for run in service.runs())
    assert set(runs.values()) == {1}
    assert len(runs) == SCHEDULES * MOMENTS
    assert {run.state.value for run in service.runs()} == {"succeeded"}
    for number in range(SCHEDULES):
        firings = service.firings(f"s{number}")
        assert [each.state for each in firings] == ["submitted"] * MOMENTS
        assert all(each.noted_at >= each.at for each in firings)
    assert {line for (line,) in lines_of(ledger)} == {f"{name}/{moment}" for name, moment in runs}
    assert len(workers.started) > 2


async def test_workers_of_which_each_run_has_a_process_of_its_own_release_what_is_due(service, workers, tmp_path):
    moment = datetime.now(UTC) + timedelta(seconds=0.5)
    values = {"day": "isolated", "ledger": str(tmp_path / "ledger")}
    put_from(service, "once", {"at": moment.isoformat()}, moment, values, catch_up="all")
    workers.start("--isolate", "process", "--limit", "1")

    await until(lambda: lines_of(tmp_path / "ledger") == [["isolated"]], "it runs")

    assert [each.state for each in service.firings("once")] == ["submitted"]


async def test_a_run_knows_the_hooks_of_who_put_its_schedule_wherever_its_worker_was_started(address, tmp_path, schema):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    (here / "aiodag.toml").write_text(f'registry = ["hooks_{schema}"]\ntimezone = "Asia/Bangkok"\n')
    (here / f"hooks_{schema}.py").write_text(
        "from pathlib import Path\nfrom aiodag.workflows import hook\n\n"
        "@hook('tasks/note@files')\ndef note(text):\n    Path(__file__).with_name('noted').write_text(text)\n"
    )
    day = "${{ release.logical_date | fmt('%H') }}"
    (here / "flow.yaml").write_text(
        f'jobs: {{a: {{stages: [{{name: s, uses: tasks/note@files, with: {{text: "{day}"}}}}]}}}}\n'
    )

    def aiodag(*words, folder):
        command = [sys.executable, "-m", "aiodag", "--store", address, *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    put = aiodag("submit", "flow.yaml", "--cron", "0 0 * * *", "--name", "nightly", folder=here)
    assert "+07:00" in put
    aiodag("backfill", "nightly", "--from", "2026-01-01", "--to", "2026-01-02", folder=elsewhere)
    said = aiodag("worker", "--once", folder=elsewhere)

    assert (here / "noted").exists(), said
    assert (here / "noted").read_text() == "00"
