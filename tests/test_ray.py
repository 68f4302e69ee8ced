"""The executor Ray, and what stands between its workers and an interrupt."""

import subprocess
import sys

import pytest
from ray_servers import run_inside, unshared

from aiodag.executors.forms import executor_faults, executor_of_form

pytest.importorskip("ray", reason="ray has no wheels here")


@pytest.fixture(scope="module", autouse=True)
def network_of_its_own():
    if unshared() is None:
        pytest.skip("unshare --net is not allowed here, and Ray listens on all addresses of a machine")


def test_the_cases_of_ray():
    """All of `ray_cases.py`, and what holds wherever functions run, with one cluster in a network of its own."""
    done = run_inside("tests/ray_cases.py", "tests/test_executor_contract.py")

    assert done.returncode == 0, done.stdout + done.stderr


STUBBORN = """
import asyncio, sys, threading, _thread
from aiodag.executors import interrupted
from aiodag.executors.shipped import answer_call
from aiodag.executors.shipping import pack_call

interrupted.GRACE = float(sys.argv[2])

async def body(kind):
    print("begun", flush=True)
    asyncio.get_running_loop().call_soon_threadsafe(_thread.interrupt_main)
    while True:
        try:
            await asyncio.sleep(300)  # real time: it is cancelled from outside
        except asyncio.CancelledError:
            print("cancelled", flush=True)
            if kind == "obedient":
                raise

call = pack_call("body", body, (sys.argv[1],), {})
try:
    with interrupted.interruptible("1"):
        answer_call(call.content, (), None, "1")
    print("gone on")
except KeyboardInterrupt:
    print("interrupted", flush=True)
with interrupted.interruptible("2"):
    print(answer_call(pack_call("after", abs, (-1,), {}).content, (), None, "2").what)
"""


@pytest.mark.parametrize(
    ("kind", "grace", "code", "lines"),
    [
        ("obedient", "60", 0, ["begun", "cancelled", "value"]),
        ("stubborn", "2", 1, ["begun", "cancelled"]),
    ],
)
def test_an_interrupt_cancels_an_async_body_and_ends_the_worker_of_one_that_goes_on(kind, grace, code, lines):
    done = subprocess.run(
        [sys.executable, "-c", STUBBORN, kind, grace], capture_output=True, text=True, timeout=180, check=False
    )
    said = [line for line in done.stdout.splitlines() if line not in {"interrupted", "gone on"}]

    assert (done.returncode, said) == (code, lines), done.stderr


def test_a_form_says_what_each_call_takes():
    form = {"type": "ray", "num_cpus": 0.5, "num_gpus": 1, "resources": {"disk": 2}}

    assert list(executor_faults(form)) == []
    assert executor_of_form(form).options == {"num_cpus": 0.5, "num_gpus": 1, "resources": {"disk": 2}}
    assert list(executor_faults({**form, "num_gpu": 1})) == [
        (("num_gpu",), "is a key that is not known here; did you mean 'num_gpus'?")
    ]
