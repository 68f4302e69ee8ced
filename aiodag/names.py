"""Find code by its name, and name it: `module:qualname` in records, a path on the command line.

A name in a record is only looked up among the modules that are loaded. Nothing is imported, and no attribute is read that
could run code: a record is text that somebody may have changed. A file is imported only where somebody names its path.
"""

import sys
from asyncio import runners
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module, invalidate_caches
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path, PurePath
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aiodag import errors
from aiodag.errors import EntryError

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec

# What a script is called while it runs, and in a worker process that was spawned by it.
MAIN = frozenset({"__main__", "__mp_main__"})
importing = RLock()  # held while a file is imported that no import statement finds
half_imported: set[str] = set()  # the names of such files, meanwhile
PATHS = frozenset({"genericpath", "nt", "ntpath", "posix", "posixpath"})  # where `os.path` keeps its functions
# Since 1.4.0 classes of aiodag are named as people import them. Before, as the files they were in: public module, file, classes.
FORMER_HOMES = (
    ("aiodag", "aiodag._core.options", "Backoff"),
    ("aiodag", "aiodag._core.capacity", "Capacity"),
    ("aiodag", "aiodag.complaint", "Complaint"),
    ("aiodag", "aiodag.abc", "Executor Move Observer"),
    ("aiodag", "aiodag._core.failure", "Failure"),
    ("aiodag", "aiodag._core.graph", "Graph GraphEdge GraphNode"),
    ("aiodag", "aiodag._core.limits", "Limit"),
    ("aiodag", "aiodag._core.node", "Node"),
    ("aiodag", "aiodag._core.run", "Run"),
    ("aiodag", "aiodag._core.hooks", "RunSummary"),
    ("aiodag", "aiodag.secret", "Secret"),
    ("aiodag", "aiodag._core.states", "State"),
    ("aiodag", "aiodag._core.task", "Task"),
    ("aiodag.workflows", "aiodag.workflows.model", "Parameter WorkflowTask"),
    ("aiodag.workflows", "aiodag.workflows.build", "Values"),
    ("aiodag.workflows", "aiodag.workflows.builder", "Workflow"),
    ("aiodag.commands", "aiodag.executors.finished", "CommandFailed Finished"),
    (
        "aiodag.records",
        "aiodag.stores.records",
        "AttemptRecord Batch Claim Claimed EdgeRecord Known LogRecord NodeRecord OutputRecord Owner RunRecord WorkflowRecord",
    ),
)
MOVED_TO = {f"{file}:{name}": f"{public}:{name}" for public, file, names in FORMER_HOMES for name in names.split()} | {
    "aiodag._core.function_like:changed": "aiodag._core.function_like:change_task"  # in pickled tasks
}
MODULES_IN_KEYS = {"aiodag.commands.task": "aiodag.executors.command"}
IN_KEYS = {today: formerly for formerly, today in MOVED_TO.items()}
GUARD = '`if __name__ == "__main__":`'
WORKFLOW_ENDINGS = (".json", ".yaml", ".yml")  # of files that are workflows, or have some
RENAMED = {"PatternError": "error"}  # of the standard library: the name that every version has


def key_name(name: str) -> str:
    """Return the name by which keys know a class: of aiodag's own the one that 1.3.0 used, so that keys stay the same.

    >>> key_name("aiodag:State"), key_name("aiodag:Skip"), key_name("etl:Row")
    ('aiodag._core.states:State', 'aiodag.errors:Skip', 'etl:Row')
    """
    module, _, own = name.partition(":")
    if module in MODULES_IN_KEYS:
        return f"{MODULES_IN_KEYS[module]}:{own}"
    return f"aiodag.errors:{own}" if module == "aiodag" and hasattr(errors, own) else IN_KEYS.get(name, name)


def import_name(thing: Any) -> str:
    """Return the name of a class or a function. One of a script is named as if the script had been imported."""
    module = thing.__module__
    return f"{main_name() if module in MAIN else module}:{thing.__qualname__}"


def public_name(thing: Any) -> str:
    """Return the name of a class or a function by which every Python has it.

    The standard library moves what it has into private modules, and back: `pathlib.Path` was `pathlib._local.Path` in 3.13.

    >>> from pathlib import Path
    >>> public_name(Path), public_name(open)
    ('pathlib:Path', 'io:open')
    """
    module, own = thing.__module__, str(thing.__qualname__)
    name = RENAMED.get(own, own)
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names and module not in MAIN:
        for place in ("os.path" if top in PATHS else "", top.lstrip("_"), "os"):
            if walk_path(sys.modules.get(place), name) is thing:
                return f"{place}:{name}"
    return import_name(thing)


def main_name() -> str:
    """Return what the main module would be called if it were imported; `__main__` where it has no file."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)  # there is one after `python -m`
    if spec is not None:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return file_stem(str(file)) if file else "__main__"


def home_of(entry: Mapping[str, Any] | None) -> str:
    """Return the module that a run begins in: of its entry's file, or of the program."""
    return file_stem(str(entry["file"])) if entry is not None else main_name()


@lru_cache(maxsize=2)
def file_stem(file: str) -> str:
    """Return the name of a file without its suffix."""
    return PurePath(file).stem


def find_named(name: str) -> Iterator[Any]:
    """Yield what a name means now: at most one thing of the main module, and one of the module of that name."""
    module, _, path = MOVED_TO.get(name, name).rpartition(":")
    places = [module, "__main__"] if module != "__main__" and module == main_name() else [module]
    # The main module comes first: where a script is loaded twice, the tasks that run are mostly those of the script.
    for place in reversed(places):
        thing = walk_path(sys.modules.get(place), path)
        if thing is not None:
            yield thing


def walk_path(module: object, path: str) -> Any:
    """Return what the dotted `path` leads to, from a module through classes, or None.

    It reads the dictionaries themselves: getattr() would call `__getattr__`, with which modules load others.
    """
    thing = module
    try:
        names = object.__getattribute__(module, "__dict__")
        for part in path.split("."):
            thing = names[part]
            names = members(thing)
    except (AttributeError, KeyError):
        return None
    return thing.__func__ if type(thing) is staticmethod else thing


def members(thing: Any) -> Mapping[str, Any]:
    """Return the dictionary of a class; nothing else has members."""
    return type.__getattribute__(thing, "__dict__") if issubclass(type(thing), type) else {}


def found_class(name: str) -> type | None:
    """Return the loaded class of that name, if there is one."""
    return next((thing for thing in find_named(name) if issubclass(type(thing), type)), None)


def leads_back(thing: Any) -> bool:
    """Return True if a record can name `thing`: its name leads to itself, not into a function or to something else."""
    try:
        return walk_path(sys.modules.get(thing.__module__), thing.__qualname__) is thing
    except (AttributeError, TypeError):
        return False


def import_file(file: str) -> ModuleType:
    """Import a file under its own name, as another file next to it would import it. Raises `EntryError`."""
    found = imported_module(file)  # a worker asks for each run, and resolving the path twice would take 0.2 ms of each
    if found is not None:
        return found
    path = Path(file).resolve()
    if not path.is_file():
        msg = f"{file}: no such file. Give FILE.py or FILE.py:TASK"
        raise EntryError(msg)
    name = path.stem
    there = sys.modules.get(name)
    spec = spec_from_file_location(name, path)
    ours = there is None or Path(getattr(there, "__file__", None) or "").resolve() == path
    if spec is None or spec.loader is None or not ours:
        why = "it is not a Python file" if ours else f"a module {name!r} is loaded already: rename the file"
        msg = f"{file}: cannot be imported, {why}"
        raise EntryError(msg)
    if there is None and str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        # Where Python finds it itself, Python sees to it that no other thread gets a module of which half is imported.
        if name not in half_imported and (there is not None or is_found_at(name, path)):
            return import_module(name)
        with importing:
            return sys.modules.get(name) or execute_module(spec, spec.loader)
    except (Exception, SystemExit) as error:
        msg = f"{file}: {describe_import_error(error)}"
        raise EntryError(msg) from error


def imported_module(file: str) -> ModuleType | None:
    """Return what was imported from a file by the very path that is given, under its own name."""
    path = Path(file)
    name = path.stem
    same = getattr(sys.modules.get(name), "__file__", None) == file and name not in half_imported
    return import_module(name) if same and path.is_file() else None


def is_found_at(name: str, path: Path) -> bool:
    """Return True if an import statement with that name leads to that file."""
    invalidate_caches()  # the file may be new
    try:
        spec = None if "." in name else find_spec(name)
    except ValueError:  # what is loaded under that name was not imported
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path


def execute_module(spec: "ModuleSpec", loader: "Loader") -> ModuleType:
    """Import a file that no import statement finds."""
    module = module_from_spec(spec)
    half_imported.add(spec.name)
    sys.modules[spec.name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(spec.name, None)
        raise
    finally:
        half_imported.discard(spec.name)
    return module


def import_named(name: str, qualname: str) -> ModuleType:
    """Return a module: the script that runs, under the name that it has when it is imported, if that has the function."""
    main = sys.modules.get("__main__")
    if main is not None and name == main_name() and hasattr(main, qualname.partition(".")[0]):
        return main
    return import_module(name)


def describe_import_error(error: BaseException) -> str:
    """Return what importing a file raised, and what helps where the file has run something of its own."""
    text = f"importing it raised {type(error).__name__}: {error}"
    if isinstance(error, SystemExit) or began_loop(error):
        return f"{text.rstrip(': ')}. A file is imported before it runs: put what runs it below {GUARD}"
    return text


def began_loop(error: BaseException) -> bool:
    """Return True if something was raised by `asyncio.run`, or below it."""
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == runners.__file__:
            return True
        traceback = traceback.tb_next
    return False
