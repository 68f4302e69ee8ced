"""Hooks and filters are found by their names in the modules that the environment or settings name."""

import sys

import pytest

from aiodag import EntryError, ExpressionError, OptionError, task
from aiodag.workflows import custom_filter, hook, tag
from aiodag.workflows.expressions.template import ExpressionFaults, template_of
from aiodag.workflows.registered import resolve_hook


@pytest.fixture(autouse=True)
def registry(hooks_forgotten, tmp_path, monkeypatch):
    """A working directory with nothing in it, and no registry."""
    monkeypatch.delenv("AIODAG_REGISTRY", raising=False)
    monkeypatch.delenv("AIODAG_REGISTRY_FILTERS", raising=False)
    monkeypatch.chdir(tmp_path)
    loaded, path = set(sys.modules), list(sys.path)
    yield tmp_path
    for name in set(sys.modules) - loaded:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")) or name.startswith("myetl"):
            del sys.modules[name]
    sys.path[:] = path


TASKS = """
from aiodag.workflows import hook, tag

@tag("requests", alias="get-api")
def get_api(url, retries=3):
    return {"url": url}

@tag("requests")
async def put_rows(rows, *, table):
    return len(rows)

@hook("load/into-sqlite@v1")
def into_sqlite(**anything):
    return anything
"""


def package(folder, name="myetl", tasks=TASKS):
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("")
    (folder / name / "tasks.py").write_text(tasks)


@pytest.mark.parametrize("named", ["myetl", "myetl.tasks", " myetl ", "myetl/tasks.py"])
def test_the_spelling_of_the_seed_leads_to_a_module_of_a_registry(registry, monkeypatch, named):
    package(registry)
    if named.endswith(".py"):
        named = str(registry / "myetl" / "tasks.py")
    monkeypatch.setenv("AIODAG_REGISTRY", named)

    found = resolve_hook("tasks/get-api@requests")

    assert found.function("x") == {"url": "x"}
    assert resolve_hook("tasks/put-rows@requests").name == "put-rows"
    assert resolve_hook("load/into-sqlite@v1").path == "load"


def test_a_file_with_settings_names_the_modules_where_the_environment_does_not(registry):
    package(registry)
    (registry / "aiodag.toml").write_text('registry = ["myetl.tasks"]\n')

    assert resolve_hook("tasks/get-api@requests")


def test_functions_async_ones_and_tasks_can_be_hooks():
    @hook("a/plain@v1")
    def plain(x): ...

    @hook("a/async@v1")
    async def coroutine(x): ...

    made = hook("a/task@v1")(task(plain, name="t"))

    assert resolve_hook("a/plain@v1").function is plain
    assert resolve_hook("a/async@v1").function is coroutine
    assert resolve_hook("a/task@v1").function is made
    assert resolve_hook("a/task@v1").misfits(["y"]) == ["task takes no 'y'", "task needs 'x'"]


def test_arguments_are_compared_with_the_signature_by_their_names():
    @hook("tasks/get@v1")
    def get(url, /, where, retries=3, *, token): ...

    @hook("tasks/any@v1")
    def anything(first, **others): ...

    assert resolve_hook("tasks/get@v1").misfits(["where", "token"]) == []
    assert resolve_hook("tasks/get@v1").misfits(["were", "token"]) == [
        "get takes no 'were'; did you mean 'where'?",
        "get needs 'where'",
    ]
    assert resolve_hook("tasks/any@v1").misfits(["first", "x", "y"]) == []


@pytest.mark.parametrize(
    ("uses", "why"),
    [
        ("tasks/get-apy@requests", "there is no hook 'tasks/get-apy@requests'; did you mean 'tasks/get-api@requests'?"),
        ("other/thing@v1", "there is no hook 'other/thing@v1'. AIODAG_REGISTRY names myetl"),
        ("get-api", "'get-api' is not the name of a hook: \"path/name@tag\""),
        ("tasks/get-api", "is not the name of a hook"),
        ("../x/y@z w", "is not the name of a hook"),
        ("a/" * 400 + "b@c", "is not the name of a hook"),
        ("", "is not the name of a hook"),
    ],
)
def test_a_hook_that_is_not_there_says_what_was_meant(registry, monkeypatch, uses, why):
    package(registry)
    monkeypatch.setenv("AIODAG_REGISTRY", "myetl")

    with pytest.raises(EntryError) as caught:
        resolve_hook(uses)
    assert why in str(caught.value)


def test_without_a_registry_the_error_names_the_variable():
    with pytest.raises(EntryError, match="AIODAG_REGISTRY names no module to look in"):
        resolve_hook("tasks/get-api@requests")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, r"AIODAG_REGISTRY names 'myetl', which cannot be loaded: .*No module named 'myetl'"),
        ("1 / 0", r"importing it raised ZeroDivisionError: division by zero"),
        ("import nowhere_at_all", r"No module named 'nowhere_at_all'"),
        ("raise SystemExit(3)", r"importing it raised SystemExit: 3"),
        ("def (", r"importing it raised SyntaxError"),
    ],
)
def test_a_registry_that_cannot_be_loaded_says_why(registry, monkeypatch, text, why):
    if text is not None:
        (registry / "myetl.py").write_text(text)
    monkeypatch.setenv("AIODAG_REGISTRY", "myetl")

    with pytest.raises(EntryError, match=why):
        resolve_hook("tasks/get-api@requests")


def test_a_module_of_a_registry_that_cannot_be_loaded_says_why(registry, monkeypatch):
    package(registry, tasks="import nowhere_at_all")
    monkeypatch.setenv("AIODAG_REGISTRY", "myetl")

    with pytest.raises(EntryError, match=r"of which myetl\.tasks cannot be loaded: .*nowhere_at_all"):
        resolve_hook("tasks/get-api@requests")


def test_a_name_belongs_to_one_function():
    def one(): ...

    def other(): ...

    hook("a/x@v1")(one)
    hook("a/x@v1")(one)  # its module was loaded again
    with pytest.raises(OptionError, match=r"one that is free: .*one has it"):
        hook("a/x@v1")(other)
    hook("b/x@v1")(other)

    assert resolve_hook("b/x@v1").function is other


def test_two_modules_with_one_name_are_told_apart_by_a_longer_path(registry, monkeypatch):
    package(registry, "myetl_one")
    package(registry, "myetl_two", tasks=TASKS.replace("load/", "load2/"))
    monkeypatch.setenv("AIODAG_REGISTRY", "myetl_one,myetl_two")

    with pytest.raises(
        EntryError, match=r"is the name of several hooks: myetl_one\.tasks:get_api and myetl_two\.tasks:get_api"
    ):
        resolve_hook("tasks/get-api@requests")
    assert resolve_hook("myetl_two/tasks/get-api@requests").function.__module__ == "myetl_two.tasks"


@pytest.mark.parametrize("uses", ["x", "a/b", "a/@v", "/a/b@c", "a b/c@d", 5, None, "a/b@c\n"])
def test_a_hook_of_another_form_is_refused_where_it_is_registered(uses):
    with pytest.raises(OptionError, match="path/name@tag"):
        hook(uses)


def test_a_tag_of_another_form_is_refused():
    with pytest.raises(OptionError, match="letters, digits"):
        tag("v 1")(print)


# Filters


def test_a_registered_filter_is_called_with_the_value_and_its_arguments():
    @custom_filter("pad")
    def pad(value, width, mark=" "):
        return value.rjust(width, mark)

    assert template_of("${{ 'a|b' | pad(5, '|') | upper }}").render({}) == "||A|B"
    assert template_of("${{ pad('x', 2) }}").render({}) == " x"
    with pytest.raises(ExpressionFaults, match="as a filter pad takes 1 to 2 arguments, and has 0"):
        template_of("${{ 'a' | pad }}")
    with pytest.raises(ExpressionError, match="the filter pad raised AttributeError"):
        template_of("${{ 1 | pad(2) }}").render({})


def test_filters_come_from_modules_that_the_environment_names(registry, monkeypatch):
    (registry / "myetl_filters.py").write_text(
        "from aiodag.workflows import custom_filter\n@custom_filter('shout')\ndef shout(text): return text + '!'\n"
    )
    monkeypatch.setenv("AIODAG_REGISTRY_FILTERS", "myetl_filters")

    assert template_of("${{ 'a' | shout }}").render({}) == "a!"


@pytest.mark.parametrize("name", ["upper", "success", "a b", "", "1a", "true", "and", 5, " x", "x.y"])
def test_a_filter_of_another_name_is_refused(name):
    with pytest.raises(OptionError):
        custom_filter(name)


def test_the_name_of_a_filter_belongs_to_one_function():
    custom_filter("mine")(lambda value: 1)

    def other(value): ...

    with pytest.raises(OptionError, match="one that is free"):
        custom_filter("mine")(other)


def test_what_a_filter_gives_is_bounded():
    custom_filter("huge")(lambda value: "a" * 10_000_000)

    with pytest.raises(ExpressionError, match="more than 1,000,000"):
        template_of("${{ 1 | huge }}").render({})
