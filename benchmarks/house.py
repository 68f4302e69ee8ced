"""Measure how the package is to live in, by reading its source, and print it as a table.

    python -m benchmarks.house [--list] [PACKAGE]

--list names the offenders of each row, folder by folder. PACKAGE is the directory of another package, to compare with.
`tests/test_house.py` holds most of these figures.
"""

from __future__ import annotations

import argparse
import ast
import io
import statistics
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from doctest import DocTestParser
from functools import cached_property
from pathlib import Path

from benchmarks.results import ROOT

PACKAGE = ROOT / "aiodag"
DOORS = "_core/doors.py"  # the one file that may name modules of the package in strings
FINDS = "names.py"  # the one that imports what users name

# Where races, order and lifetimes are: a comment there says what would go wrong.
DANGEROUS = (
    "_core/body.py",
    "_core/cancels.py",
    "_core/deadlock.py",
    "_core/engine.py",
    "_core/holdings.py",
    "_core/waits.py",
    "commands/local.py",
    "commands/warden.py",
    "executors/process.py",
    "stores/keeper.py",
    "stores/recorder.py",
    "stores/sql/guard.py",
)

# A participle: a single word that ends in -ed, or one of these. It says what was done, and not to what. Those that are spelt
# as their verb (read, run, set) are none.
IRREGULAR = """
begun bound bought broken brought built caught chosen done drawn driven eaten fallen fed felt forgotten found frozen given gone
gotten grown had heard held hidden kept known laid led left lent lost made meant met paid risen said seen sent shaken shown
spent spoken stolen struck stuck sung sunk sworn taken taught thought told torn understood woken won worn written
"""
NOT_PARTICIPLES = "bed embed exceed feed indeed need proceed red seed shed speed succeed weed"

Function = ast.FunctionDef | ast.AsyncFunctionDef
Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Documented = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """A file of the package, as text and as a tree."""

    name: str  # relative to the package, such as "_core/engine.py"
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @property
    def functions(self) -> list[Function]:
        return [node for node in self.nodes if isinstance(node, Function)]

    @property
    def classes(self) -> list[ast.ClassDef]:
        return [node for node in self.nodes if isinstance(node, ast.ClassDef)]

    @cached_property
    def public_names(self) -> dict[str, Named]:
        """The functions and classes at top level, also those under an `if`."""
        return {node.name: node for node in at_top(self.tree.body) if isinstance(node, Named)}


@dataclass(frozen=True)
class Found:
    """One thing that a row counts, and where it is."""

    module: str
    line: int
    what: str


def modules_of(package: Path = PACKAGE) -> list[Module]:
    """Return the files of a package, its tests left out."""
    paths = [path for path in sorted(package.rglob("*.py")) if not {"tests", "_tests"} & set(path.parts)]
    return [Module(path.relative_to(package).as_posix(), path) for path in paths]


def at_top(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements at top level, also those that an `if` or a `try` there guards."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from at_top([*node.body, *node.orelse])


# Sizes.


def without_docstring(node: Documented) -> list[ast.stmt]:
    """Return what a body has after its docstring."""
    return node.body[1:] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body


def length_of(function: Function) -> int:
    """Count the lines of a function's code, without its docstring."""
    return (function.end_lineno or 0) - without_docstring(function)[0].lineno + 1


def lines_of_examples(tree: ast.AST) -> int:
    """Count the lines of examples in docstrings: nobody is to leave one out so that a file or a class stays small."""
    texts = (ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, Documented))
    examples = (each for text in texts for each in DocTestParser().get_examples(text))
    return sum(each.source.count("\n") + each.want.count("\n") for each in examples)


def class_length(node: ast.ClassDef) -> int:
    """Count the lines of a class without the examples in its docstrings."""
    return (node.end_lineno or 0) - node.lineno + 1 - lines_of_examples(node)


def large_classes(modules: list[Module], most: int = 250) -> list[Found]:
    """Find the classes of more lines than a class may have."""
    classes = [(module, node, class_length(node)) for module in modules for node in module.classes]
    return [Found(each.name, node.lineno, f"{node.name}: {lines}") for each, node, lines in classes if lines > most]


# Names.


def doubled_names(modules: list[Module]) -> list[Found]:
    """Find the functions and classes at top level whose name stands in two modules or more."""
    places: dict[str, list[tuple[Module, Named]]] = defaultdict(list)
    for module in modules:
        for name, node in module.public_names.items():
            if not name.startswith("__"):  # what Python itself asks a module for
                places[name].append((module, node))
    return [
        Found(
            module.name,
            node.lineno,
            f"{name} (also in {', '.join(other.name for other, _ in all_of if other != module)})",
        )
        for name, all_of in sorted(places.items())
        if len(all_of) > 1
        for module, node in all_of
    ]


def function_names(modules: list[Module]) -> list[Found]:
    """Return the names of all functions and methods, but for those that Python gives a meaning."""
    return [
        Found(module.name, node.lineno, node.name)
        for module in modules
        for node in module.functions
        if not (node.name.startswith("__") and node.name.endswith("__"))
    ]


def is_one_word(name: str) -> bool:
    """Return True if a name is a single word, whatever underscores it begins or ends with."""
    return name.strip("_").isalpha() and name.strip("_").islower()


def is_participle(name: str) -> bool:
    """Return True if a name is a participle and nothing else.

    >>> [name for name in ("told", "_checked", "told_of", "need", "check") if is_participle(name)]
    ['told', '_checked']
    """
    word = name.strip("_")
    regular = word.endswith("ed") and word not in NOT_PARTICIPLES.split()
    return is_one_word(name) and (regular or word in IRREGULAR.split())


def participles(modules: list[Module]) -> list[Found]:
    """Find the functions that are named by a participle."""
    return [found for found in function_names(modules) if is_participle(found.what)]


def one_word_names(modules: list[Module]) -> list[Found]:
    """Find the functions that are named by one word."""
    return [found for found in function_names(modules) if is_one_word(found.what)]


# What modules know of each other.


def string_imports(modules: list[Module]) -> list[Found]:
    """Find where a module of the package, or one that only the run time knows, is imported by its name in a string."""
    return [
        Found(module.name, node.lineno, ast.unparse(node))
        for module in modules
        for node in module.nodes
        if isinstance(node, ast.Call)
        and imports_by_name(node)
        and not imports_another(node, module)
        and module.name not in {DOORS, FINDS}
    ]


def imports_by_name(call: ast.Call) -> bool:
    """Return True if a call imports the module that its first argument names."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return name in {"import_module", "__import__"} and bool(call.args)


def imports_another(call: ast.Call, module: Module) -> bool:
    """Return True if what a call imports is known to belong to somebody else."""
    name = call.args[0]
    if isinstance(name, ast.Name):
        constants = [node for node in module.tree.body if isinstance(node, ast.Assign)]
        same = [each.value for each in constants if getattr(each.targets[0], "id", "") == name.id]
        name = same[0] if same else name
    package = module.path.parents[module.name.count("/")].name
    return isinstance(name, ast.Constant) and str(name.value).partition(".")[0] != package


def foreign_writes(modules: list[Module]) -> list[Found]:
    """Find where an attribute is set on an object whose class another module defines.

    Without running anything: the object is not `self` or `cls`, and no class of the module has an attribute of that name.
    """
    return [
        Found(module.name, target.lineno, ast.unparse(target))
        for module in modules
        for target in module.nodes
        if isinstance(target, ast.Attribute)
        and isinstance(target.ctx, ast.Store)
        and getattr(target.value, "id", "") not in {"self", "cls"}
        and target.attr not in own_attributes(module)
    ]


def own_attributes(module: Module) -> set[str]:
    """Return the attributes that the classes of a module have: set on `self`, annotated, or in `__slots__`."""
    inside = [node for each in module.classes for node in ast.walk(each)]
    on_self = {
        node.attr for node in inside if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "self"
    }
    annotated = {
        node.target.id for node in inside if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return on_self | annotated


def plain_any(modules: list[Module]) -> list[Found]:
    """Find the parameters that are typed plain `Any`, `*args` and `**kwargs` included."""
    found = [(module, arg) for module in modules for arg in parameters(module) if arg.annotation is not None]
    return [Found(each.name, arg.lineno, arg.arg) for each, arg in found if ast.unparse(arg.annotation) in ANY]


ANY = frozenset({"Any", "'Any'", "typing.Any", "t.Any"})


def parameters(module: Module) -> list[ast.arg]:
    """Return the parameters of all functions, `self` included."""
    return [node for node in module.nodes if isinstance(node, ast.arg)]


# Comments and examples.


def comment_lines(module: Module) -> int:
    """Count the comments of a file."""
    tokens = tokenize.generate_tokens(io.StringIO(module.text).readline)
    return sum(token.type == tokenize.COMMENT for token in tokens)


def comments_per_100(modules: list[Module]) -> dict[str, float]:
    """Return the comments per 100 lines of each file in which a mistake does not show."""
    there = {module.name: module for module in modules}
    dangerous = [there[name] for name in DANGEROUS if name in there]
    return {each.name: 100 * comment_lines(each) / len(each.text.splitlines()) for each in dangerous}


def faced_names(modules: list[Module]) -> list[tuple[Module, Named]]:
    """Return the functions and classes that a face re-exports (`import X as X`), and those of `abc.py`."""
    files = {module.name: module for module in modules}
    found = {}
    for face in modules:
        if face.name.endswith("__init__.py"):
            for node in face.tree.body:
                if isinstance(node, ast.ImportFrom):
                    inner = (node.module or "").partition(".")[2].replace(".", "/")
                    source = files.get(f"{inner}.py") or files.get(f"{inner}/__init__.py")
                    names = [alias.name for alias in node.names if alias.name == alias.asname]
                    if source is not None:
                        found.update({name: (source, source.public_names.get(name)) for name in names})
    seams = files.get("abc.py")
    if seams is not None:
        found.update({name: (seams, node) for name, node in seams.public_names.items()})
    return [(module, node) for module, node in found.values() if node is not None]


def without_example(modules: list[Module]) -> list[Found]:
    """Find the public functions and classes whose docstring has no example."""
    return [
        Found(module.name, node.lineno, node.name)
        for module, node in faced_names(modules)
        if ">>>" not in (ast.get_docstring(node) or "")
    ]


# The table.


def share(part: int, whole: int) -> str:
    """Write a share in per cent."""
    return f"{100 * part / whole if whole else 0:.1f} %"


Row = tuple[str, str, str, list[Found]]  # what, how much, what it is to be, and the offenders


def rows(modules: list[Module]) -> list[Row]:
    """Measure everything."""
    lengths = sorted(length_of(node) for module in modules for node in module.functions)
    p95 = lengths[int(len(lengths) * 0.95)]
    everything = sum(len(module.text.splitlines()) for module in modules)
    names = function_names(modules)
    accepted = sum(len(parameters(module)) for module in modules)
    strings = string_imports(modules)
    doubled, large, foreign = doubled_names(modules), large_classes(modules), foreign_writes(modules)
    single, past, anything = one_word_names(modules), participles(modules), plain_any(modules)
    comments = comments_per_100(modules)
    spread = f"{min(comments.values()):.0f} – {max(comments.values()):.0f}" if comments else "–"
    public, bare = faced_names(modules), without_example(modules)
    twice = len({found.what.partition(" ")[0] for found in doubled})
    return [
        (
            "function median / p95 / max (lines)",
            f"{statistics.median(lengths):g} / {p95} / {lengths[-1]}",
            "8 / 35 / 60",
            [],
        ),
        (f"own modules loaded by string, outside {DOORS}", f"{len(strings)}", "0", strings),
        ("top-level names that stand in two modules or more", f"{twice}", "0", doubled),
        ("one-word function names", share(len(single), len(names)), "", []),
        ("bare participles", share(len(past), len(names)), "≤ 2 %", past),
        (
            "attributes of other modules' objects written, per 1,000 lines",
            f"{1000 * len(foreign) / everything:.1f}",
            "≤ 3",
            foreign,
        ),
        ("parameters typed plain Any", share(len(anything), accepted), "≤ 5 %", anything),
        ("classes over 250 lines", f"{len(large)}", "0", large),
        ("comments per 100 lines, in the dangerous files", spread, "", []),
        ("public names with an example", f"{len(public) - len(bare)} of {len(public)}", "all", bare),
    ]


def trip_of(title: str, goal: str) -> Callable[[], Row]:
    """Return what measures the modules that a trip enters, and the calls between them."""

    def measure() -> Row:
        from benchmarks.trips import TRIPS

        return f"modules / calls between them: {title}", str(TRIPS[title]()), goal, []

    return measure


# Rows that are measured by running something, each a function.
MEASURED: list[Callable[[], Row]] = [
    trip_of('process(fetch("a"))', "5 / 11"),
    trip_of("run FILE.json", "35 / 300"),
    trip_of("one look of log -f", "12 / 60"),
    trip_of("one look of log -f that finds a line", ""),
]


def print_table(table: list[Row]) -> None:
    """Print each row with its goal."""
    width = max(len(what) for what, *_ in table)
    for what, value, goal, _ in table:
        print(f"{what:<{width}}  {value:>12}  {goal}".rstrip())


def print_offenders(table: list[Row]) -> None:
    """Print what each row counts, folder by folder."""
    for what, _, _, offenders in table:
        folders: dict[str, list[Found]] = defaultdict(list)
        for found in offenders:
            folders[found.module.rpartition("/")[0] or "."].append(found)
        if folders:
            print(f"\n## {what}")
        for folder, inside in sorted(folders.items()):
            print(f"{folder}: {len(inside)}")
            for found in sorted(inside, key=lambda each: (each.module, each.line)):
                print(f"  {found.module}:{found.line} {found.what}")


def main() -> None:
    """Read the options and print."""
    parser = argparse.ArgumentParser(description="Measure how a package is to live in, by reading its source.")
    parser.add_argument("package", nargs="?", type=Path, default=PACKAGE, help="its directory (%(default)s)")
    parser.add_argument("--list", action="store_true", help="name the offenders of each row, folder by folder")
    options = parser.parse_args()
    table = rows(modules_of(options.package.resolve()))
    if options.package == PACKAGE:
        table += [measure() for measure in MEASURED]
    print_table(table)
    if options.list:
        print_offenders(table)


if __name__ == "__main__":
    main()
