"""All that is wrong in a workflow is told at once, before anything runs."""

import asyncio
import inspect
import json
from difflib import get_close_matches

import pytest

from aiodag import Capacity, Complaint, OptionError, WorkflowError, task
from aiodag.commands import command, shell
from aiodag.stores import Memory
from aiodag.workflows import Parameter, Workflow, loads
from aiodag.workflows.check import check_workflow


@task
async def nothing(*_, **__):
    pass


def complaints(flow):
    with pytest.raises(WorkflowError) as error:
        flow.check()
    return [complaint.text for complaint in error.value.complaints]


def chained(**after):
    flow = Workflow("checked")
    for name, names in after.items():
        flow.add(nothing, name=name, after=names.split())
    return flow


def test_all_complaints_come_at_once_each_with_its_place():
    flow = Workflow("bad", parameters={"DATE": ["d1", "d1"]}, tags={"n": 1}, limit=0)
    here = inspect.currentframe().f_lineno
    flow.add(nothing, name="Pull")
    flow.add(nothing, name="Load", after="Pul")
    flow.add(nothing, name="Load")
    flow.add(nothing, name="Self", after="Self")
    flow.add(nothing, Parameter("DAET"), name="Use")
    flow.add(command("echo", "{{DAET}}"), name="Echo")

    with pytest.raises(WorkflowError) as error:
        flow.check()

    def place(line):
        return f"{__file__}:{line}"

    assert set(error.value.complaints) == {
        Complaint("", "tags={'n': 1} cannot work: tags takes a dict of strings, such as {'env': 'test'}"),
        Complaint("", "limit=0 cannot work: limit takes an int of 1 or more"),
        Complaint("", "parameter 'DATE' has the value 'd1' more than once"),
        Complaint(place(here + 3), f"the name 'Load' is taken: by the task at {place(here + 2)}"),
        Complaint(place(here + 2), "'Load' waits for 'Pul', which is not there. Did you mean 'Pull'?"),
        Complaint(place(here + 4), "'Self' waits for itself"),
        Complaint(place(here + 5), "'Use' uses the parameter 'DAET'; declared are 'DATE'"),
        Complaint(place(here + 6), "'Echo' has {{DAET}}. Did you mean {{DATE}}?"),
    }
    assert str(error.value).splitlines() == [str(each) for each in error.value.complaints]


async def test_nothing_is_recorded_of_a_bad_workflow():
    store = Memory()

    with pytest.raises(WorkflowError):
        await chained(a="b", b="a").run(store, "r")

    assert store.runs() == []


def test_a_cycle_is_shown_in_the_direction_in_which_things_run():
    assert complaints(chained(a="c", b="a", c="b", d="c")) == ["cycle: a -> b -> c -> a"]


def test_cycles_that_share_nothing_are_all_told():
    assert complaints(chained(a="b", b="a", c="d", d="c", e="a c")) == [
        "cycle: a -> b -> a",
        "cycle: c -> d -> c",
    ]


def test_a_task_that_waits_for_its_own_group_is_a_cycle():
    flow = Workflow("group")
    flow.add(nothing, name="a", group="all", after="all")

    assert complaints(flow) == ["cycle: a -> all -> a"]


def test_a_cycle_of_100_000_is_found_without_recursion_and_told_shortly():
    flow = Workflow("ring")
    for number in range(100_000):
        flow.add(nothing, name=str(number), after=str((number - 1) % 100_000))

    (text,) = complaints(flow)

    assert text.startswith("cycle: 0 -> 1 -> 2 -> 3 -> … 99,993 more … -> ")
    assert text.endswith(" -> 99999 -> 0")


def test_many_cycles_in_one_another_take_linear_time():
    flow = Workflow("nested")
    size = 20_000
    for number in range(size):
        flow.add(nothing, name=str(number), after=[str(number + 1)] if number + 1 < size else [])
    for number in range(
        size // 2
    ):  # each leads back to one that is farther away: a quadratic search would take minutes
        flow.tasks[size // 2 + number].set_upstream(flow.tasks[size // 2 - number - 1])

    assert len(complaints(flow)) == 1


def test_an_order_that_is_declared_is_kept():
    flow = chained(c="", a="", b="a", d="c")

    assert check_workflow(flow).order == [0, 1, 2, 3]


def test_a_name_of_a_task_and_of_a_group_is_refused():
    flow = Workflow("names")
    flow.add(nothing, name="pull")
    flow.add(nothing, name="other", group="pull")

    assert complaints(flow) == ["'pull' is the name of this task and of a group"]


def test_a_group_may_be_called_as_its_only_task():
    flow = Workflow("names")
    flow.add(nothing, name="pull", group="pull")
    flow.add(nothing, name="after", after="pull")

    flow.check()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ("d1", "parameter 'P' has 'd1' for values. Write a list of them"),
        (7, "parameter 'P' has 7 for values. Write a list of them"),
        ({"a": 1}, "parameter 'P' has {'a': 1} for values. Write a list of them"),
        (["a\0"], "parameter 'P' has 'a\\x00': values are text without NUL and half surrogates, finite numbers, bools"),
        (
            [float("nan")],
            "parameter 'P' has nan: values are text without NUL and half surrogates, finite numbers, bools",
        ),
        ([None], "parameter 'P' has None: values are text without NUL and half surrogates, finite numbers, bools"),
        (["1", 1], "parameter 'P' has the value '1' more than once"),
        ([True, "true"], "parameter 'P' has the value 'true' more than once"),
    ],
)
def test_values_that_cannot_be_are_told(values, text):
    flow = Workflow("values")
    flow.add(nothing, Parameter("P"), name="whole")
    flow.parameters = {"P": values}
    own = Workflow("values")
    own.add(nothing, Parameter("P"), name="own", parameters={"P": values})

    assert complaints(flow) == complaints(own) == [text]


def test_a_name_of_a_parameter_has_no_braces():
    flow = Workflow("values", parameters={"{{P}}": ["1"], "": []})

    assert complaints(flow) == [
        "parameter '{{P}}': its name must be text without braces and half surrogates",
        "parameter '': its name must be text without braces and half surrogates",
    ]


def test_more_combinations_than_can_run_are_refused():
    names = [f"P{number}" for number in range(10)]
    flow = Workflow("huge", parameters={name: range(1000) for name in names})
    flow.add(nothing, *map(Parameter, names))

    (text,) = complaints(flow)

    assert text.startswith("'nothing' has 1,000,000,000,")


def test_the_name_of_a_node_is_no_name_for_a_task():
    flow = Workflow("nodes", parameters={"P": ["1"]})
    flow.add(nothing, Parameter("P"), name="a")
    flow.add(nothing, name="a[P=1]")

    assert complaints(flow) == ["the name 'a[P=1]' is taken: by a node of 'a'"]


@pytest.mark.parametrize("text", ["{{ DATE }}", "{{date}}", "{{DTAE}}"])
def test_a_near_miss_of_a_parameter_in_a_command_is_told(text):
    flow = Workflow("near", parameters={"DATE": ["d1"]})
    flow.add(shell(f"echo {text}"), name="line")
    flow.add(command("echo", env={"A": text}), name="env")
    flow.add(command("echo"), text, name="argument")

    assert complaints(flow) == [
        f"{name!r} has {text}. Did you mean {{{{DATE}}}}?" for name in ("line", "env", "argument")
    ]


@pytest.mark.parametrize(
    ("declared", "written", "is_meant"),
    [
        *[("DAY", each, True) for each in ("DYA", "ADY", "DAX", "DA", "DAYS")],
        *[("ZONE", each, True) for each in ("ZOEN", "ZONA", "ZON")],
        ("START_DATE", "START_DAET", True),
        *[("DAY", each, False) for each in ("HOUR", "DIR", "RUN", "D", "DATE")],
        ("START_DATE", "END_DATE", False),
        ("SOURCE", "TARGET", False),
        ("N", "M", False),
    ],
)
def test_swapped_and_single_letters_are_near_and_other_names_are_not(declared, written, is_meant):
    flow = Workflow("near", parameters={declared: ["x"]})
    flow.add(command("echo", f"{{{{{written}}}}}"), name="echo")

    told = [f"'echo' has {{{{{written}}}}}. Did you mean {{{{{declared}}}}}?"]
    assert (complaints(flow) if is_meant else flow.check()) == (told if is_meant else None)


def test_other_braces_are_left_alone():
    flow = Workflow("braces", parameters={"DATE": ["d1"]})
    flow.add(command("docker", "inspect", "--format", "{{.State.Running}} {{json .}} {{}} {{x"))

    flow.check()


def test_resources_that_there_are_not_are_told_where_the_capacity_is_known():
    flow = Workflow("resources")
    flow.add(nothing.with_options(resources={"cores": 3}), name="big")
    flow.add(nothing.with_options(resources={"licence": 1}), name="odd")

    flow.check()
    with pytest.raises(WorkflowError, match="the workflow has no capacity"):
        asyncio.run(flow.run())

    flow.capacity = Capacity({"cores": 2, "license": 1})
    first, second = complaints(flow)

    assert first.startswith("'big' asks for cores 3")
    assert second.startswith("'odd' asks for licence 1")
    assert "license" in second


def test_a_hundred_thousand_unknown_names_are_told_soon():
    flow = Workflow("unknown")
    for number in range(20_000):
        flow.add(nothing, name=str(number), after=f"x{number}")

    assert len(complaints(flow)) == 20_000


# What no program can be given


UNFIT = {
    "true": ((True,), {}, "argument=True"),
    "null": ((None,), {}, "argument=None"),
    "a list": ((["x"],), {}, "argument=['x']"),
    "a number as stdin": ((), {"stdin": 3}, "and not int"),
    "a variable with =": ((), {"env": {"A=": "1"}}, "env='A='"),
    "variables in a list": ((), {"env": [1]}, "env takes a dict of names and values"),
    "half a surrogate pair": (("\ud800",), {}, "text that can be encoded"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_no_program_can_be_given_is_told_before_anything_runs(name):
    args, kwargs, why = UNFIT[name]
    flow = Workflow("unfit")
    first = flow.add(command("true"), name="first")
    flow.add(command("echo"), first, *args, name="echo", **kwargs)

    (complaint,) = complaints(flow)

    assert complaint.startswith("'echo' cannot run: ")
    assert why in complaint


def test_values_that_no_program_takes_are_told_with_the_node_that_would_get_them():
    flow = Workflow("values", parameters={"A": ["x", ""], "B": [""], "C": [True, 1]})
    flow.add(command("{{A}}{{B}}"), name="program")
    flow.add(command("echo", "{{A}}{{C}}"), name="fits")
    flow.add(command("echo"), Parameter("C"), name="passed")
    many = flow.add(nothing, Parameter("A"), name="many")
    flow.add(command("echo"), many, name="takes many")
    flow.add(command("echo"), flow.add(nothing, name="G", generator=True), name="takes a definition")

    found = complaints(flow)

    assert [each.partition(" cannot run: ")[0] for each in found] == [
        '\'program[A="",B=""]\'',
        "'passed[C=true]'",
        "'takes many'",
        "'takes a definition'",
    ]
    assert "argument=<the values of 'many', a list>" in found[2]


@pytest.mark.parametrize("parameters", [{"DAY": ["ok", "\udfff"]}, {"DAY\udfff": ["ok"]}])
@pytest.mark.parametrize("whose", ["workflow", "task"])
def test_a_parameter_that_no_store_takes_is_refused_where_it_is_declared(parameters, whose):
    flow = Workflow("odd", parameters=parameters if whose == "workflow" else {})
    added = flow.add(nothing, *map(Parameter, parameters), parameters=parameters if whose == "task" else {})

    with pytest.raises(WorkflowError, match="half surrogates") as caught:
        flow.check()

    (complaint,) = caught.value.complaints
    assert "\\udfff" in complaint.text
    assert complaint.place == (added.place if whose == "task" else "")


def test_values_that_were_asked_for_are_checked_also_for_a_parameter_of_one_task():
    flow = Workflow("asked")
    flow.add(command("{{A}}"), name="a", parameters={"A": ["echo"]})
    flow.check()

    assert complaints(flow.but(parameters={"A": [""]})) == [
        "'a[A=\"\"]' cannot run: program='' cannot work: program takes the name or the path of a program"
    ]
    assert "has '\\x00'" in complaints(flow.but(parameters={"A": ["\0"]}))[0]


async def test_a_run_whose_commands_cannot_run_is_not_recorded():
    store = Memory()
    flow = Workflow("empty", parameters={"A": [""]})
    flow.add(command("{{A}}"), name="a")

    with pytest.raises(WorkflowError, match="program=''"):
        await flow.run(store, "r")

    assert store.runs() == []


@pytest.mark.parametrize("own", [True, False], ids=["of the task", "of the workflow"])
def test_near_misses_of_many_parameters_are_looked_for_a_bounded_number_of_times(monkeypatch, own):
    searches = []

    def counted(*args, **options):
        searches.append(args)
        return get_close_matches(*args, **options)

    monkeypatch.setattr("aiodag.workflows.parameters.get_close_matches", counted)
    names = {f"PARAMETER_{number}": ["x"] for number in range(300)}
    flow = Workflow("near", parameters={} if own else names)
    line = "".join(f"{{{{PARAMETRE_{number}}}}} {{{{ parameter_{number} }}}}" for number in range(300))
    for number in range(2):
        flow.add(shell(f": {line}"), name=f"task {number}", parameters=names if own else None)

    found = complaints(flow)

    assert len(searches) < 200
    assert sum("{{ parameter_" in each for each in found) == 600  # other spaces and capitals are always seen
    assert any("{{PARAMETRE_100}}" in each for each in found)


def test_of_very_many_complaints_that_say_the_same_the_first_are_told():
    """Before: a workflow of 100,000 tasks whose module is not there filled the terminal with one sentence."""
    tasks = {f"t{number}": {"task": "no_such_module:run"} for number in range(50)}
    tasks["odd"] = {"comand": ["ls"]}

    with pytest.raises(WorkflowError) as caught:
        loads(json.dumps({"tasks": tasks}, indent=1))

    told = str(caught.value).splitlines()
    assert len(caught.value.complaints) > 50
    assert sum("'no_such_module:run' cannot be loaded" in line for line in told) == 21
    assert told[-1].startswith("30 more: 'no_such_module:run' cannot be loaded")
    assert any("did you mean 'command'?" in line for line in told)


def test_parameters_without_values_are_refused_at_once():
    with pytest.raises(OptionError, match="a dict of names and lists of their values"):
        Workflow("days", parameters=["DAY"])
