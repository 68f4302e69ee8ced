"""A pool of hosts: first that fits, nobody starves, nothing is oversubscribed; what is down is left out and comes back."""

import asyncio
import os
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_host_contract import until

from aiodag import OptionError, Run, WorkflowError
from aiodag.commands import CommandFailed, command, shell
from aiodag.commands.local import LocalHost
from aiodag.commands.pool import HostPool
from aiodag.errors import LetGo
from aiodag.programs import HostState, HostUnreachable, ProgramEnd, ProgramLost, ProgramNotFound, ProgramRequest
from aiodag.testing import run
from aiodag.workflows import Workflow


class Heard:
    """What a host tells of a program."""

    def __init__(self):
        self.facts, self.end = {}, None

    def note_start(self, facts, /):
        self.facts = dict(facts)

    def wrote(self, stream, chunk, /):
        pass

    def note_end(self, end, /):
        self.end = end


class Machine:
    """A host whose programs end when the test says so, and that notes what they hold."""

    def __init__(self, name, **resources):
        self.name, self.resources = name, resources
        self.running = []  # (request, event)
        self.down = self.drained = ""
        self.looks = 0

    async def run(self, request, watch, /):
        if self.down or self.drained:
            raise HostUnreachable(f"did not start: {self.name} {self.down or self.drained}")
        over = asyncio.Event()
        self.running.append((request, over))
        watch.note_start({"number": len(self.running)})
        try:
            await over.wait()
        finally:
            self.running.remove((request, over))
        watch.note_end(ProgramEnd(0, 0.0, 1.0))

    async def look(self):
        self.looks += 1
        return HostState(not self.down, self.down, self.resources, drained=bool(self.drained))

    def end_one(self, place=0):
        self.running[place][1].set()

    def names(self):
        return [request.args[0] for request, _ in self.running]

    def held(self, name):
        return sum(request.resources.get(name, 1 if name == "cores" else 0) for request, _ in self.running)


async def settle():
    for _ in range(12):
        await asyncio.sleep(0)


class Users:
    """Programs that somebody runs on a pool."""

    def __init__(self, pool):
        self.pool, self.tasks, self.watches = pool, {}, {}

    async def start(self, name, **resources):
        self.watches[name] = Heard()
        request = ProgramRequest((name,), resources=resources)
        self.tasks[name] = asyncio.create_task(self.pool.run(request, self.watches[name]))
        await settle()

    async def leave(self):
        for each in self.tasks.values():
            each.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


def in_loop(scene):
    """Run a scene on a clock of its own."""
    return run(scene())


def test_a_program_goes_to_the_first_target_that_has_room_and_says_where_it_ran():
    async def scene():
        small, big = Machine("small", cores=1), Machine("big", cores=4)
        users = Users(HostPool([small, big]))
        for name, cores in (("a", 1), ("b", 1), ("c", 3), ("d", 1)):
            await users.start(name, cores=cores)
        where = small.names(), big.names()
        big.end_one()
        await settle()
        ended = users.watches["b"]
        await users.leave()
        return where, ended.end.host, ended.facts, big.names()

    assert in_loop(scene) == ((["a"], ["b", "c"]), "big", {"number": 1, "target": "big"}, [])


def test_a_program_that_names_no_cores_takes_one_where_they_are_counted():
    async def scene():
        counts, free = Machine("counts", cores=2), Machine("licences", license=1)
        users = Users(HostPool([counts, free]))
        for name in "abcd":
            await users.start(name)
        await users.start("e", license=1)
        found = counts.names(), free.names()
        await users.leave()
        return found

    assert in_loop(scene) == (["a", "b"], ["c", "d", "e"])


def test_who_waits_longest_is_not_overtaken_for_ever_and_others_use_what_that_leaves():
    async def scene():
        one = Machine("one", cores=4, gpus=1)
        users = Users(HostPool([one]))
        await users.start("first", cores=2)
        await users.start("large", cores=4)
        await users.start("small", cores=1)
        await users.start("gpu", gpus=1, cores=0.000001)
        before = one.names()
        one.end_one()
        await settle()
        after = one.names()
        await users.leave()
        return before, after

    assert in_loop(scene) == (["first"], ["large"])


def test_a_target_that_is_down_is_left_out_looked_at_after_growing_pauses_and_comes_back():
    async def scene():
        first, second = Machine("first", cores=1), Machine("second", cores=1)
        first.down = "is down"
        users = Users(HostPool([first, second]))
        loop = asyncio.get_running_loop()
        await users.start("a", cores=1)
        await users.start("b", cores=1)
        assert (first.names(), second.names()) == ([], ["a"])
        looks = []
        while len(looks) < 4:
            before = first.looks
            await asyncio.sleep(0.25)
            looks += [round(loop.time())] * (first.looks - before)
        first.down = ""
        await asyncio.sleep(30)
        found = first.names(), second.names()
        await users.leave()
        return [later - earlier for earlier, later in pairwise(looks)], found

    assert in_loop(scene) == ([2, 4, 8], (["b"], ["a"]))


def test_the_log_says_once_why_a_target_is_left_out(caplog):
    async def scene():
        first, second = Machine("first", cores=1), Machine("second", cores=1)
        first.down = "is down"
        users = Users(HostPool([first, second], name="lab"))
        await users.start("a", cores=1)
        await users.start("b", cores=1)
        await asyncio.sleep(20)  # in which it is looked at again
        first.down, first.drained = "", "is drained"
        await asyncio.sleep(20)
        await users.leave()

    in_loop(scene)
    assert [each.getMessage() for each in caplog.records if each.name == "aiodag.command"] == [
        "lab leaves out its target first: first is down",
        "lab leaves out its target first: is down",
        "lab leaves out its target first: it is drained",
    ]


def test_a_drained_target_gets_nothing_new_and_what_runs_there_goes_on():
    async def scene():
        first, second = Machine("first", cores=2), Machine("second", cores=2)
        users = Users(HostPool([first, second]))
        await users.start("a", cores=1)
        first.drained = "is drained"
        await users.start("b", cores=1)
        await users.start("c", cores=1)
        found = first.names(), second.names()
        first.drained = ""
        await asyncio.sleep(2)
        await users.start("d", cores=1)
        await settle()
        again = first.names()
        await users.leave()
        return found, again

    assert in_loop(scene) == ((["a"], ["b", "c"]), ["a", "d"])


def test_when_all_that_could_run_a_program_stay_down_it_has_not_started_and_each_says_why():
    async def scene():
        small, big = Machine("small", cores=1), Machine("big", cores=4)
        big.down = "does not answer"
        pool = HostPool([small, big], name="lab", patience=20)
        loop = asyncio.get_running_loop()
        with pytest.raises(HostUnreachable) as caught:
            await pool.run(ProgramRequest(("x",), resources={"cores": 2}), Heard())
        return str(caught.value), 20 <= loop.time() <= 25

    assert in_loop(scene) == ("did not start: lab has no target that takes it: big: does not answer", True)


def test_a_cancel_while_waiting_gives_the_place_in_the_line_up():
    async def scene():
        one = Machine("one", cores=2)
        users = Users(HostPool([one]))
        await users.start("a", cores=1)
        await users.start("large", cores=2)
        await users.start("b", cores=1)
        waiting = one.names()
        users.tasks["large"].cancel()
        await settle()
        found = one.names()
        await users.leave()
        await users.start("whole", cores=2)
        whole = one.names()
        await users.leave()
        return waiting, found, whole

    assert in_loop(scene) == (["a"], ["a", "b"], ["whole"])


def test_a_lost_program_is_told_and_its_target_is_looked_at_before_it_gets_another():
    class Loses(Machine):
        async def run(self, request, watch, /):
            if request.args[0] == "a":
                raise ProgramLost("was lost", reason="node failure")
            await super().run(request, watch)

    async def scene():
        first = Loses("first", cores=1)
        users = Users(HostPool([first]))
        await users.start("a", cores=1)
        with pytest.raises(ProgramLost):
            await users.tasks.pop("a")
        await users.start("b", cores=1)
        await asyncio.sleep(0.1)
        found = first.looks, first.names()
        await users.leave()
        return found

    assert in_loop(scene) == (1, ["b"])


def test_an_agent_that_has_not_said_what_it_has_is_asked_first():
    class Says(Machine):
        def __init__(self, name, has):
            super().__init__(name)
            self.has = has

        async def look(self):
            self.looks += 1
            return HostState(reachable=True, resources=self.has)

        async def drain(self):
            """Be an agent."""

    async def scene():
        first = Says("first", {"cores": 2})
        users = Users(HostPool([first]))
        for name in "abc":
            await users.start(name, cores=1)
        await asyncio.sleep(0.1)
        found = first.names(), first.looks
        await users.leave()
        return found

    assert in_loop(scene) == (["a", "b"], 1)


def test_a_program_waits_for_a_large_agent_that_says_what_it_has_later_than_a_small_one():
    class Says(Machine):
        def __init__(self, name, cores, after):
            super().__init__(name)
            self.cores, self.after = cores, after

        async def look(self):
            await asyncio.sleep(self.after)
            return HostState(reachable=True, resources={"cores": self.cores})

        async def drain(self):
            """Be an agent."""

    async def scene():
        large, small = Says("large", 4, 2.0), Says("small", 1, 0.1)
        users = Users(HostPool([large, small]))
        await users.start("x", cores=2)
        await asyncio.sleep(2.5)
        found = large.names()
        await users.leave()
        return found

    assert in_loop(scene) == ["x"]


def test_what_no_agent_has_once_it_has_said_that_is_told_with_what_each_has():
    async def scene():
        machine = Machine("late", cores=2)
        machine.resources, said = {}, machine.resources

        async def look():
            return HostState(reachable=True, resources=said)

        machine.look, machine.drain = look, look
        with pytest.raises(
            HostUnreachable, match=r"did not start: lab has no target with all of that: late \(cores 2\)"
        ):
            await HostPool([machine], name="lab").run(ProgramRequest(("x",), resources={"cores": 3}), Heard())

    in_loop(scene)


def test_what_no_target_can_ever_have_is_refused_before_anything_runs_with_its_name():
    lab = HostPool([Machine("small", cores=2), Machine("gpu", cores=1, gpus=1)], name="lab")
    flow = Workflow("etl", hosts={"lab": lab}, default_host="lab")
    flow.add(command("x", resources={"cores": 2, "gpus": 1}), name="both")
    flow.add(command("x", resources={"gpu": 1}), name="misspelled")
    flow.add(command("x", resources={"cores": 8}), name="large")
    with pytest.raises(WorkflowError) as caught:
        asyncio.run(flow.run())

    assert [each.text for each in caught.value.complaints] == [
        "'both' asks for cores 2, gpus 1, and lab has no target with all of that: small (cores 2), gpu (cores 1, gpus 1)",
        "'misspelled' asks for gpu 1, and in lab there is no 'gpu'. Did you mean 'gpus'? There are at most cores 2, gpus 1",
        "'large' asks for cores 8, and lab has no target with all of that: small (cores 2), gpu (cores 1, gpus 1)",
    ]


@pytest.mark.parametrize(
    ("targets", "options"),
    [
        ([], {}),
        ("node1", {}),
        ([3], {}),
        ([LocalHost(name="a"), LocalHost(name="a")], {}),
        ([LocalHost()], {"patience": -1}),
        ([LocalHost()], {"patience": float("nan")}),
        ([LocalHost()], {"name": ""}),
    ],
)
def test_what_cannot_be_a_pool_is_refused(targets, options):
    with pytest.raises(OptionError):
        HostPool(targets, **options)


def test_a_pool_within_a_pool_is_its_targets():
    inner = HostPool([LocalHost(name="a"), LocalHost(name="b")])
    outer = HostPool([inner, LocalHost(name="c", resources={"cores": 1})], name="lab")

    assert outer.form() == {
        "type": "pool",
        "name": "lab",
        "targets": [
            {"type": "local", "name": "a"},
            {"type": "local", "name": "b"},
            {"type": "local", "name": "c", "resources": {"cores": 1}},
        ],
    }


def test_a_program_is_found_again_on_the_target_that_has_it_and_without_facts_on_all():
    class Finds(Machine):
        async def find(self, facts, request, watch, /):
            found.append((self.name, dict(facts)))
            if self.name != "second":
                raise ProgramNotFound("no")

    found = []

    async def scene():
        pool = HostPool([Finds("first"), Finds("second")])
        await pool.find({"number": 3, "target": "second"}, ProgramRequest(("x",)), Heard())
        await pool.find({}, ProgramRequest(("x",)), Heard())
        for facts in ({"target": "gone"}, {"number": 3, "target": "first"}):
            with pytest.raises(ProgramNotFound):
                await pool.find(facts, ProgramRequest(("x",)), Heard())

    asyncio.run(scene())

    assert found == [("second", {"number": 3}), ("first", {}), ("second", {}), ("first", {"number": 3})]


def test_a_program_that_nobody_could_take_up_again_has_ended_when_its_run_lets_go(tmp_path):
    lab = HostPool([LocalHost(name="a")])
    stays = shell("echo $$ > pid; mkfifo started; echo > started & exec sleep 60", cwd=tmp_path, name="stays")

    async def main():
        async with Run("etl", hosts={"lab": lab}, default_host="lab", store="memory:pool", id="one") as owned:
            stays()
            await until((tmp_path / "started").exists)
            owned.let_go()

    with pytest.raises(LetGo):
        asyncio.run(main())
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("start"), st.integers(1, 4)),
            st.tuples(st.just("end"), st.integers(0, 20)),
            st.tuples(st.just("cancel"), st.integers(0, 20)),
            st.tuples(st.just("down"), st.integers(0, 2)),
            st.tuples(st.just("up"), st.integers(0, 2)),
        ),
        max_size=40,
    ),
)
def test_whatever_happens_no_target_is_oversubscribed_and_nobody_starves(sizes, steps):
    """A model that starts, ends and cancels programs while targets come and go. At the end all that can run has run."""

    async def scene():
        machines = [Machine(f"m{number}", cores=size) for number, size in enumerate(sizes)]
        users = Users(HostPool(machines, patience=10**6))
        order = []
        for number, (what, which) in enumerate(steps):
            if what == "start" and which <= max(sizes):
                await users.start(f"p{number}", cores=which)
                order.append(f"p{number}")
            elif what == "end":
                running = [each for machine in machines for each in machine.running]
                if running:
                    running[which % len(running)][1].set()
            elif what == "cancel" and order:
                users.tasks[order[which % len(order)]].cancel()
            elif what in {"down", "up"}:
                machines[which % len(machines)].down = "is down" if what == "down" else ""
            await settle()
            assert all(machine.held("cores") <= size for machine, size in zip(machines, sizes, strict=True))
        for machine in machines:
            machine.down = ""
        for _ in range(200):
            for machine in machines:
                assert machine.held("cores") <= machine.resources["cores"]
                for _, over in machine.running:
                    over.set()
            await asyncio.sleep(31)
            if all(each.done() for each in users.tasks.values()):
                break
        ends = await asyncio.gather(*users.tasks.values(), return_exceptions=True)
        return [each for each in ends if each is not None and not isinstance(each, asyncio.CancelledError)]

    assert in_loop(scene) == []


def test_programs_of_a_run_go_through_a_pool_and_records_say_where():
    lab = HostPool([LocalHost(name="a", resources={"cores": 1}), LocalHost(name="b", resources={"cores": 1})])

    async def main():
        async with Run("etl", hosts={"lab": lab}, default_host="lab"):
            nodes = [command("sh", "-c", "echo $0", str(number), name=f"n{number}")() for number in range(4)]
        return [(node.result().stdout.strip(), node.result().host) for node in nodes]

    found = asyncio.run(main())

    assert [text for text, _ in found] == ["0", "1", "2", "3"]
    assert {host for _, host in found} == {"a", "b"}


def test_a_missing_program_on_a_pool_is_a_failed_attempt():
    lab = HostPool([LocalHost(name="a")])
    with pytest.raises(CommandFailed, match="did not start"):
        asyncio.run(run_one(command("no-such-program-here", host=lab)))


async def run_one(task):
    return await task()


def test_a_real_agent_gets_nothing_while_it_is_drained_or_dead_and_then_again(new_agent):
    agent = new_agent(cores=1)

    async def main():
        lab = HostPool(
            [agent.host(name="there", resources={"cores": 1}), LocalHost(name="here", resources={"cores": 1})]
        )
        there, here = command("echo", resources={"cores": 1}), command("true", resources={"cores": 1})
        found = []
        async with Run("etl", hosts={"lab": lab}, default_host="lab"):
            for change in (None, agent.host().drain, agent.host().undrain):
                if change is not None:
                    await change()
                while True:  # real time: a drained agent is looked at again after a second
                    node = there()
                    await node
                    if not found or node.result().host != found[-1]:
                        break
                found.append(node.result().host)
            agent.kill()
            found.append((await here()).host)
        return found

    machine, *others = asyncio.run(main())

    assert machine != "here"
    assert others == ["here", machine, "here"]
