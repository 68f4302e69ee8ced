"""What the page for those who come from Dagger promises, row by row: on a virtual clock, or on the real command with workers."""

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest
from page_rows import name_of, promises, rows
from programs import ROOT
from typed_in import Place, line_with

from aiodag import Run, State, task
from aiodag.messages import Topic, first_of, message, now, overdue, send, sleep, sleep_until
from aiodag.testing import deliver, run

PAGE = "coming-from-dagger.md"
ORDER = (ROOT / "examples" / "12_order.py").read_text(encoding="utf-8")
SUBMIT = ("submit", "shop.py:order_workflow", "-p", "order_number=A17", "-p", "customer_name=Ada")

WORK = ("worker", "--once", "--linger", "1h")  # to the end, however slow the machine is
PARK = ("worker", "--once", "--linger", "0s")


@dataclass
class Payment:
    amount: int


def hours():
    return asyncio.get_running_loop().time() / 3600


@task
async def echo(value):
    return value


@pytest.fixture
def place(tmp_path, strangers_known, topics_forgotten):
    return Place(tmp_path, shop=ORDER)


class Dagger:
    def template(self, place):
        run_id = place(*SUBMIT)[0].strip()
        assert record(place, run_id)["name"] == "order_workflow"

    def process(self, place):
        begun = []

        @task
        async def payment(order):
            begun.append("payment")
            return await echo(order)

        @task
        async def shipping(order):
            begun.append("shipping")

        @task
        async def archive():
            begun.append("archive")

        async def main():
            async with Run("orders") as orders:
                archive.after(shipping(payment("A17")))()
            return {node.name: node.parent for node in orders.graph().nodes}

        parents = run(main())
        assert begun == ["payment", "shipping", "archive"]
        assert parents["echo"] is not None

    def dynamic_processes(self, place):
        async def main():
            return [await each for each in echo.map(["A17", "A18"])]

        assert run(main()) == ["A17", "A18"]

    def executor(self, place):
        async def main():
            return await echo(echo(1)), await echo(2)

        assert run(main()) == (1, 2)

    def command(self, place):
        async def main():
            told = await send("COMMAND", key="A17", value={"amount": 40})
            return told, await message("COMMAND", key="A17")

        told, payload = run(main())
        assert (type(told), payload) == (str, {"amount": 40})

    def listener(self, place):
        async def main():
            waits = {key: message("PAID", key=key) for key in "ABC"}
            deliver("PAID", "B", 40)
            return await waits["B"], [key for key, wait in waits.items() if wait.done()]

        assert run(main()) == (40, ["B"])

    def several_messages(self, place):
        async def main():
            for number in range(3):
                deliver("PAID", "A17", number)
            return await message("PAID", key="A17"), await message("PAID", key="A17", count=2)

        assert run(main()) == (0, [1, 2])

    def matching(self, place):
        async def main():
            oldest, younger = message("PAID", key="A17"), message("PAID", key="A17")
            await asyncio.sleep(1)
            await send("PAID", key="A17", value=1)
            alone = await oldest, younger.done()
            third = message("PAID", key="A17")
            await asyncio.sleep(1)
            await send("PAID", key="A17", value=2, to="all")
            return alone, await younger, await third

        assert run(main()) == ((1, False), 2, 2)

    def another_key(self, place):
        async def main():
            deliver("PAID", "OLD", "old")
            first = await message("PAID", key="OLD")
            second = message("PAID", key="NEW")
            deliver("PAID", "OLD", "old again")
            deliver("PAID", "NEW", "new")
            return first, await second

        assert run(main()) == ("old", "new")

    def early_messages(self, place):
        place("send", "PAYMENT", "--key", "A17", "--payload", '{"amount": 40}', "--id", "p1")
        assert [each["state"] for each in place.json("messages")] == ["kept"]
        run_id = place(*SUBMIT)[0].strip()
        place("send", "SHIPPING", "--key", "A17", "--payload", '"tomorrow"')
        place(*WORK)
        assert "order A17: 40 paid, arrives tomorrow" in place("show", run_id, "order_workflow", "--value")[0]

    def skip_to(self, place):
        async def main():
            reached = first_of(paid=message("PAID", key="A17"), shipped=message("SHIPPED", key="A17"))
            deliver("SHIPPED", "A17", "at the door")
            return await reached

        assert tuple(run(main())) == ("shipped", "at the door")

    def reprocess(self, place):
        async def main():
            heard = []
            for _ in range(2):
                wait = message("PAID", key="A17")
                deliver("PAID", "A17", len(heard))
                heard.append(await wait)
            return heard

        assert run(main()) == [0, 1]

    def sensor(self, place):
        answers = iter([False, False, True])

        @task
        async def is_there():
            return next(answers)

        async def main():
            while not await is_there():
                await sleep(3600)
            return hours()

        assert run(main()) == 2

    def decision(self, place):
        @task
        async def credit(customer):
            return 100 if customer == "Ada" else 0

        async def main():
            return ["ship" if await credit(each) > 40 else "decline" for each in ("Ada", "Bob")]

        assert run(main()) == ["ship", "decline"]

    def parallel(self, place):
        @task
        async def fail():
            raise ValueError("no money")

        @task
        async def join(*values):
            return values

        async def main():
            joined = await join(echo(1), message("PAID", key="A17", timeout=None), echo(3))
            with pytest.raises(ValueError, match="no money"):
                await join(echo(1), fail())
            return joined

        async def paid():
            deliver("PAID", "A17", 2)
            return await main()

        assert run(paid()) == (1, 2, 3)

    def at_least_one(self, place):
        async def main():
            slow, fast = sleep(100), sleep(1)
            await first_of(slow, fast)
            at = hours() * 3600
            await asyncio.sleep(1)
            return at, slow.cancelled()

        assert run(main()) == (1, True)

    def trigger(self, place):
        async def main():
            began = await now()
            await sleep(3600)
            await sleep_until(began + timedelta(hours=3))
            return hours()

        assert run(main()) == pytest.approx(3, abs=0.01)

    def interval(self, place):
        asked = []

        @task
        async def ask():
            asked.append(hours())
            return False

        @task(timeout=5 * 3600)
        async def poll():
            while not await ask():
                await sleep(2 * 3600)

        async def main():
            with pytest.raises(TimeoutError):
                await poll()
            await asyncio.sleep(10 * 3600)

        run(main())
        assert asked == [0, 2, 4]

    def monitoring(self, place):
        alerts = []

        @task
        async def alert(what):
            alerts.append((what, hours()))

        async def main():
            late, early = sleep(2 * 3600), sleep(60)
            overdue(late, after=3600, call=partial(alert, "late"))
            overdue(early, after=3600, call=partial(alert, "early"))
            await late
            return hours()

        assert (run(main()), alerts) == (2, [("late", 1)])

    def maximum_duration(self, place):
        @task(timeout=3600)
        async def payment():
            return await message("PAID", key="A17")

        async def main():
            try:
                return await payment()
            except TimeoutError:
                return f"skipped after {hours():.0f} h"

        assert run(main()) == "skipped after 1 h"

    def runtime_parameters(self, place):
        run_id = place(*SUBMIT)[0].strip()
        assert "Ada" in json.dumps(place.json("show", run_id))

    def begin(self, place):
        ids = {place(*SUBMIT, "--key", "A17")[0] for _ in range(2)}
        assert len(ids) == 1

    def stop(self, place):
        run_id = parked(place)
        place("cancel", run_id)
        place(*WORK)
        assert record(place, run_id)["state"] == "cancelled"

    def delete_on_complete(self, place):
        run_id = ended(place)
        place("delete", run_id)
        assert place.json("runs") == []

    def after_a_crash(self, place):
        run_id = place(*SUBMIT)[0].strip()
        with place.start("worker", "--linger", "0s") as process:
            line_with(process.stderr, "parked")
            process.kill()
        answer(place)
        place(*WORK)
        sent = [each["topic"] for each in place.json("messages") if each["state"] == "kept"]
        assert sorted(sent) == ["PAYMENT_COMMAND", "SHIPPING_COMMAND"]
        assert record(place, run_id)["state"] == "succeeded"

    def a_failure(self, place):
        place.write("shop.py", ORDER.replace('f"order {order_number}', '1 / 0, f"order {order_number}'))
        run_id = parked(place)
        answer(place)
        place(*WORK)
        assert record(place, run_id)["state"] == "failed"
        place.write("shop.py", ORDER)
        place("resume", run_id)
        assert record(place, run_id)["state"] == "succeeded"

    def topics(self, place):
        topic = Topic("TYPED", value=Payment)

        async def main():
            wait = message(topic, key="A17")
            deliver(topic, "A17", {"amount": "much"})
            deliver(topic, "A17", {"amount": 40})
            return await wait

        assert run(main()) == Payment(40)

    def updates(self, place):
        moves = []

        class Watcher:
            def moved(self, move):
                moves.append(move.state)

        async def main():
            async with Run("orders", observers=[Watcher()]):
                deliver("PAID", "A17", 40)
                message("PAID", key="A17")

        run(main())
        assert State.SUCCEEDED in moves

    def REST(self, place):
        run_id = parked(place)
        assert [each["state"] for each in place.json("runs")] == ["parked"]
        assert record(place, run_id)["state"] == "parked"


def record(place, run_id):
    return place.json("show", run_id)["run"]


def parked(place):
    """Submit an order, and have a worker run it until it only waits."""
    run_id = place(*SUBMIT)[0].strip()
    place(*PARK)
    assert record(place, run_id)["state"] == "parked"
    return run_id


def answer(place):
    place("send", "PAYMENT", "--key", "A17", "--payload", '{"amount": 40}')
    place("send", "SHIPPING", "--key", "A17", "--payload", '"tomorrow"')


def ended(place):
    run_id = place(*SUBMIT)[0].strip()
    answer(place)
    place(*WORK)
    assert record(place, run_id)["state"] == "succeeded"
    return run_id


@pytest.mark.parametrize("row", rows(PAGE))
def test_row(row, place):
    getattr(Dagger(), name_of(row))(place)


def test_every_promise_has_a_row():
    assert {name_of(row) for row in rows(PAGE)} == promises(Dagger)
