"""The rules of the house, exhaustively, by reading the source."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aiodag
from aiodag._core.doors import DOORS
from benchmarks import house

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "aiodag"

FACE = [
    "AiodagError",
    "AttemptLost",
    "Backoff",
    "Capacity",
    "Complaint",
    "CycleError",
    "Deadlock",
    "EntryError",
    "Executor",
    "ExpressionError",
    "Failure",
    "ForeignLoop",
    "Graph",
    "GraphEdge",
    "GraphNode",
    "HookFailed",
    "LeaseLost",
    "LetGo",
    "Limit",
    "MissingExtra",
    "Move",
    "NoCapacity",
    "NoCodec",
    "NoFingerprint",
    "NoIdentity",
    "NoLoop",
    "NoSecret",
    "Node",
    "NotATask",
    "NotAdmitted",
    "NotAllowed",
    "DefinitionRefused",
    "NotFound",
    "PlanFailed",
    "PlanningBusy",
    "NotPicklable",
    "Observer",
    "OptionError",
    "MessageRefused",
    "PayloadRefused",
    "QueueError",
    "RecordedError",
    "Run",
    "RunCancelled",
    "RunFailed",
    "RunOwned",
    "RunQueued",
    "RunSummary",
    "Secret",
    "SecretInValue",
    "SettingsError",
    "Skip",
    "StageFailed",
    "Stalled",
    "State",
    "StoreError",
    "StoreUnreachable",
    "Task",
    "TaskMoved",
    "TriggerError",
    "Undecodable",
    "UnexpectedCancel",
    "UnknownOption",
    "UnknownRun",
    "ValueGone",
    "ValueTooLarge",
    "WaitLost",
    "WorkerDied",
    "WorkflowError",
    "current_node",
    "current_run",
    "opaque",
    "plan",
    "settled",
    "task",
    "value_of",
]

# The house from the ground up. A room stands on the floors below its own, and never on a neighbour of its floor. The files
# of a room are in reading order: each may import those before it, and nothing after. A file without a place fails.
FLOORS = [
    {
        "": [
            "complaint",
            "faces",
            "errors.root",
            "errors.calls",
            "errors.attempts",
            "errors.runs",
            "errors.messages",
            "errors.stores",
            "errors.access",
            "errors.recorded",
            "errors.complaints",
            "errors",
            "masking",
            "wording",
            "typed_forms",
            "installed",
            "secret",
            "names",
            "states",
            "looks",
            "processes",
            "mail",
            "ownership",
            "batches",
            "records",
            "queue_defaults",
            "submissions",
            "firings",
            "access",
            "happenings",
            "programs",
            "held_values",
        ]
    },
    {"": ["copies", "queueing", "inboxes", "scheduling", "admitting", "measures", "sharing", "journal", "abc"]},
    {
        "_core": [
            "failure",
            "doors",
            "render",
            "notebook",
            "no_value",
            "containers",
            "edges",
            "context",
            "forks",
            "cancels",
            "interrupts",
            "as_task",
            "node",
            "held",
            "search",
            "waiting",
            "limits",
            "holdings",
            "shared",
            "arity",
            "layers",
            "varying",
            "capacity",
            "named",
            "options",
            "fresh",
            "letting_go",
            "homecoming",
            "retry",
            "middleware",
            "deadlock",
            "parking",
            "unwinding",
            "waits",
            "cancelling",
            "generations",
            "body",
            "steps",
            "recalled",
            "real_time",
            "rules",
            "engine",
            "futures",
            "callables",
            "function_like",
            "veils",
            "elsewhere",
            "submit",
            "fan_out",
            "critical",
            "graph",
            "ledger",
            "seats",
            "signatures",  # types only
            "task",
            "posting",
            "hooks",
            "members",
            "report",
            "run_options",
            "run",
            "plan",
        ]
    },
    {
        "codec": [
            "refusals",
            "packages",
            "msgspec",
            "numpy",
            "pydantic",
            "foreign",
            "arrays",
            "kinds",
            "printing",
            "classes",
            "registered",
            "writer",
            "fingerprint",
            "reader",
            "exceptions",
            "text",
            "codecs",
        ]
    },
    {
        "stores": [
            "arguments",
            "written",
            "identity",
            "former",
            "past",
            "keys",
            "folder",
            "fsspec",
            "value_places",
            "references",
            "outcomes",
            "patience",
            "large_values",
            "caching",
            "endings",
            "generations",
            "children",
            "queue_rules",
            "inbox_rules",
            "watch",
            "sql.happenings",
            "sql.guard",
            "sql.statements",
            "sql.session",
            "sql.database",
            "sql.rows",
            "sql.file_session",
            "sql.migration",
            "sql.file_listener",
            "sql.file",
            "sql.past",
            "lines",
            "post",
            "sharing",
            "unreleased",
            "waking",
            "keeper",
            "firing_rules",
            "kept",
            "kept_runs",
            "kept_groups",
            "kept_queue",
            "kept_again",
            "kept_mail",
            "kept_inbox",
            "kept_schedules",
            "kept_backfills",
            "kept_access",
            "kept_measures",
            "nested",
            "outputs",
            "row",
            "enclosures",
            "changes",
            "frontier",
            "recall",
            "remarks",
            "stopping",
            "due_moments",
            "recorded_waits",
            "recalled_values",
            "recorder",
            "taken",
            "kept_copies",
            "memory",
            "sql.waits",
            "sql.children",
            "sql.groups",
            "sql.hand_on",
            "sql.submitting",
            "sql.firings",
            "sql.freed",
            "sql.delivery",
            "sql.generations",
            "sql.batches",
            "sql.listing",
            "sql.reading",
            "sql.editing",
            "sql.copying",
            "sql.ownership",
            "sql.inbox",
            "sql.schedules",
            "sql.access",
            "sql.measures",
            "sql.again",
            "sql.queue",
            "sql.workers",
            "sql.sharing",
            "sql.rules",
            "sql.sqlite",
            "sql.addresses",
            "sql.postgres_text",
            "sql.postgres",
            "sql.server_links",
            "sql.server_listener",
            "sql.server",
            "places",
            "rehearsal",
        ],
        "commands": [
            "warden",
            "streams",
            "descriptors",
            "entrance",
            "refusal",
            "host_options",
            "local",
            "remote_shell",
            "loop_aside",
            "agent_wire",
            "aiohttp",
            "agent_link",
            "agent_attempt",
            "agents",
            "remote_link",
            "remote_program",
            "remote_links",
            "ssh_address",
            "ssh",
            "forms",
            "pool_room",
            "pool_targets",
            "pool",
            "finished",
            "transcript",
            "record",
            "attempt",
            "at_once",
            "arguments",
            "shells",
            "task",
            "alike",
            "bulk",
            "slurm_job",
            "slurm_places",
            "slurm_programs",
            "slurm_states",
            "slurm_submitting",
            "slurm_watch",
            "slurm",
        ],
        "executors": [
            "forms",
            "letters",
            "worker",
            "crew",
            "process",
            "thread",
            "shipping",
            "shipped",
            "arrivals",
            "interrupted",
            "cluster_places",
            "dask_link",
            "dask",
            "ray",
        ],
        "pictures": [
            "lettering",
            "palette",
            "groups",
            "scene",
            "opened",
            "layers",
            "layout",
            "svg",
            "timeline",
            "fragments",
            "html",
            "pillow",
            "resvg",
            "png",
        ],
        "traces": ["exporters", "opentelemetry"],
        "listening": ["uvicorn"],
    },
    {
        "agent": [
            "guard",
            "log",
            "requests",
            "hosted",
            "table",
            "starlette",
            "ghosts",
            "serving",
        ],
        "schedules": [
            "fields",
            "days",
            "calendar",
            "expressions",
            "zones",
            "points",
            "exclusions",
            "series",
            "cron",
            "intervals",
            "moments",
            "forms",
        ],
        "messages": [
            "plain",
            "payloads",
            "generations",
            "recorded_values",
            "kafka_addresses",
            "kafka_records",
            "kafka",
            "transports",
            "class_fields",
            "fitting",
            "starters",
            "topics",
            "shelf",
            "local",
            "call_sites",
            "group",
            "waits",
            "sending",
            "monitoring",
            "children",
            "parked",
            "delivery",
        ],
        "workflows": [
            "model",
            "machines",
            "definition",
            "parameters",
            "paired",
            "cycles",
            "sites",
            "check",
            "private",
            "files.json",
            "files.shapes",
            "files.marks",
            "files.scalars",
            "files.composing",
            "files.forms",
            "files.details",
            "files.bodies",
            "files.hooking",
            "files.entries",
            "files.text",
            "files.yaml",
            "files.sources",
            "registries",
            "expressions.lexemes",
            "expressions.grammar",
            "expressions.values",
            "expressions.conversions",
            "expressions.texts",
            "expressions.listings",
            "expressions.functions",
            "expressions.evaluation",
            "expressions.expression",
            "expressions.environment",
            "expressions.joining",
            "expressions.template",
            "expressions.conditions",
            "params",
            "registered",
            "jobs.model",
            "jobs.stages.placeholders",
            "jobs.stages.python_source",
            "jobs.stages.shell_source",
            "jobs.stages.python_child",
            "jobs.stages.texts",
            "jobs.stages.outputs",
            "jobs.stages.bodies",
            "jobs.stages.programs",
            "jobs.stages.elsewhere",
            "jobs.stages.run",
            "jobs.stages.bash",
            "jobs.stages.uses",
            "jobs.stages.sleep",
            "jobs.stages.echo",
            "jobs.stages.raising",
            "jobs.stages.leaves",
            "jobs.matrix",
            "jobs.keys",
            "jobs.ids",
            "jobs.gathering",
            "jobs.digests",
            "jobs.references",
            "jobs.stage_contents",
            "jobs.stage_reading",
            "jobs.triggers",
            "jobs.job_reading",
            "jobs.reading",
            "jobs.drawing",
            "files.reading",
            "files.document",
            "expand",
            "generators",
            "named",
            "labels",
            "lead",
            "build",
            "jobs.scope",
            "jobs.enclosing",
            "jobs.outcomes",
            "jobs.running",
            "jobs.containers",
            "jobs.building",
            "signatures",  # types only
            "workflow",
            "files.named_forms",
            "files.folders",
            "files.named_triggers",
            "files.schedule_forms",
            "files.load",
        ],
    },
    {"": ["testing"]},  # which is for messages, too
    {
        "service": [
            "host_tables",
            "remote_address",
            "settings",
            "agents",
            "hosts",
            "host_states",
            "kept_registries",
            "conversion",
            "entry",
            "catching_up",
            "resumption",
            "sites",
            "folders",
            "binding",
            "written",
            "values",
            "recorded",
            "registry",
            "changes",
            "exchange",
            "parameters",
            "targets",
            "starting",
            "run_groups",
            "look",
            "copying",
            "edit",
            "submitting",
            "narrowing",
            "posted",
            "resubmitting",
            "scheduled_runs",
            "releasing",
            "scheduled",
            "schedule_files",
            "queues",
            "continuing",
            "delivering",
            "messages",
            "schedules",
            "access",
            "serve_options",
            "settings_shown",
            "documents",
            "phrases",
            "schedule_documents",
            "access_documents",
            "declarations",
            "document_graphs",
            "attempts",
            "follow",
            "feed",
            "feed_cursors",
            "feed_events",
            "run_looks",
            "run_feed",
            "runs_feed",
            "feeds",
            "measuring",
            "tracing",
            "drawing",
            "parked",
            "service",
            "remote_forms",
            "remote_looks",
            "retold",
            "remote_problems",
            "remote_http",
            "remote_listener",
            "remote_runs",
            "remote_sending",
            "remote_audit",
            "remote_schedule_files",
            "remote_changes",
            "remote",
            "remote_hearing",
            "upcoming",
            "children",
            "child_workflows",
            "validation",
            "loading",
            "outages",
            "parking",
            "relaying",
            "scheduler",
            "starters",
            "run_work",
            "worker",
            "listed_workflows",
            "thoughts",
            "thinking",
            "thinkers",
            "intake",
        ]
    },
    {
        "cli": [
            "output",
            "typed",
            "table",
            "parser",
            "begin_grammar",
            "look_grammar",
            "schedule_grammar",
            "queue_grammar",
            "message_grammar",
            "store_grammar",
            "agent_grammar",
            "serve_grammar",
            "access_grammar",
            "grammar",
            "opening",
            "printed",
            "progress",
            "show",
            "attempts",
            "views",
            "rich",
            "answers",
            "log",
            "signals",
            "running",
            "commands",
            "upcoming",
            "schedules",
            "queues",
            "messages",
            "isolated",
            "workers",
            "embedded",
            "agents",
            "hosts",
            "serve",
            "access",
            "registry",
            "described",
            "validating",
            "completion",
            "program",
        ],
        "web": [
            "fastapi",
            "prometheus_client",
            "pydantic",
            "jinja2",
            "kept_pictures",
            "shelf",
            "metering",
            "turns",
            "desk",
            "problems",
            "documents",
            "paths",
            "answers",
            "counting",
            "tracing",
            "cursors",
            "schemas",
            "kept_schemas",
            "openapi",
            "reference",
            "listings",
            "excerpts",
            "origins",
            "sessions",
            "callers",
            "visits",
            "admission",
            "forms",
            "access",
            "limits",
            "gate",
            "bodies",
            "page.words",
            "page.static",
            "page.notices",
            "page.rendering",
            "page.problem_pages",
            "events",
            "page.searching",
            "health",
            "metrics",
            "api.runs",
            "api.beginning",
            "api.run",
            "api.graphs",
            "api.events",
            "api.workflows",
            "api.schedules",
            "api.queues",
            "api.messages",
            "api.audit",
            "api.records",
            "api.removals",
            "page.runs",
            "page.run_views",
            "page.run",
            "page.fields",
            "page.node",
            "page.definition_diffs",
            "page.resuming",
            "page.editing",
            "page.workflow_views",
            "page.beginning",
            "page.workflows",
            "page.schedule_views",
            "page.schedules",
            "page.queue_views",
            "page.queues",
            "page.message_views",
            "page.messages",
            "page.login",
            "page.audit",
            "page.reference",
            "application",
            "gateway",
            "serving",
        ],
        "compat": ["pydag"],
        "": ["__main__"],
    },
]


def in_rooms(floor):
    return {room: [f"aiodag.{room}.{file}".replace("..", ".") for file in files] for room, files in floor.items()}


def layers():
    """module: what it may import of aiodag."""
    below = set()
    found = {}
    for floor in map(in_rooms, FLOORS):
        for room, files in floor.items():
            for place, file in enumerate(files):
                found[file] = below | set(files[:place])
            if room:
                found[f"aiodag.{room}"] = below | set(files)
        below |= {file for files in floor.values() for file in files} | {f"aiodag.{room}" for room in floor if room}
    return found


WORDS, CORE = ({f"aiodag.{file}" for file in FLOORS[0][""]}, {f"aiodag._core.{file}" for file in FLOORS[2]["_core"]})
LAYERS = {
    **layers(),
    "aiodag": WORDS | CORE | {"aiodag.abc"},
    # Programs of their own.
    "aiodag.commands.warden": set(),
    "aiodag.agent.guard": set(),
    "aiodag.executors.worker": {"aiodag.executors.letters"},
    "aiodag.__main__": {"aiodag.cli"},
    # Doors without a name in them.
    "aiodag.stores.sql": set(),
    "aiodag.web.api": set(),
    "aiodag.web.page": set(),
    "aiodag.workflows.files": set(),
    "aiodag.workflows.jobs": set(),
    "aiodag.workflows.jobs.stages": set(),
    "aiodag.workflows.expressions": set(),
    # Pure: they show a graph, and know nothing of what runs it.
    "aiodag._core.render": {"aiodag.errors", "aiodag.wording", "aiodag.states", "aiodag.looks"},
    "aiodag._core.critical": set(),
    "aiodag._core.doors": set(),
    "aiodag._core.notebook": {"aiodag.looks", "aiodag.wording", "aiodag._core.render", "aiodag._core.doors"},
    "aiodag._core.graph": {
        "aiodag.errors",
        "aiodag.wording",
        "aiodag.states",
        *(f"aiodag._core.{name}" for name in ("render", "notebook", "critical")),
    },
}
PURE = {"aiodag.errors", "aiodag.wording", "aiodag.states", "aiodag.looks", "aiodag._core.graph"}
# The command line speaks to the service, and of what the face and the words of all layers name.
SPOKEN = WORDS | {"aiodag"}
SERVICE = {each for each in LAYERS if each.startswith("aiodag.service")}
CLI = {each for each in LAYERS if each.startswith("aiodag.cli")}
WEB = {each for each in LAYERS if each.startswith("aiodag.web")}
LISTENING = {
    each for each in LAYERS if each.startswith("aiodag.listening")
}  # how a server listens, whatever it answers
for name, below in LAYERS.items():
    if name.startswith("aiodag.pictures."):
        LAYERS[name] = below & (PURE | {each for each in LAYERS if each.startswith("aiodag.pictures.")})
    if name.startswith("aiodag.cli."):
        LAYERS[name] = (below | {"aiodag"}) & (SPOKEN | SERVICE | CLI)
    if name.startswith("aiodag.web."):
        LAYERS[name] = (below | {"aiodag"}) & (SPOKEN | SERVICE | WEB | LISTENING)
# All errors are imported from `aiodag.errors`, whichever file one is in.
ERRORS = {each for each in LAYERS if each.startswith("aiodag.errors.")}
for name in set(LAYERS) - ERRORS - {"aiodag.errors"}:
    LAYERS[name] = LAYERS[name] - ERRORS
LAYERS["aiodag.cli.table"] = CLI  # the one table of the commands, each loaded when it is typed

# module: the optional package that this one file is for.
EXTRAS = {
    "aiodag.pictures.pillow": {"PIL"},
    "aiodag.pictures.resvg": {"resvg_py"},
    "aiodag.cli.rich": {"rich"},
    "aiodag.commands.aiohttp": {"aiohttp"},
    "aiodag.commands.ssh": {"asyncssh"},
    "aiodag.agent.starlette": {"starlette"},
    "aiodag.web.fastapi": {"fastapi", "starlette"},
    "aiodag.web.prometheus_client": {"prometheus_client"},
    "aiodag.web.pydantic": {"pydantic"},
    "aiodag.web.jinja2": {"jinja2", "markupsafe"},
    "aiodag.listening.uvicorn": {"uvicorn"},
    "aiodag.stores.fsspec": {"fsspec"},
    "aiodag.stores.sql.postgres": {"psycopg"},
    "aiodag.messages.kafka": {"aiokafka"},
    "aiodag.workflows.files.yaml": {"yaml"},
    "aiodag.codec.msgspec": {"msgspec"},
    "aiodag.codec.numpy": {"numpy"},
    "aiodag.codec.pydantic": {"pydantic"},
    "aiodag.traces.opentelemetry": {"opentelemetry"},
    "aiodag.executors.dask": {"distributed"},
    "aiodag.executors.ray": {"ray"},
    "aiodag.executors.shipping": {"cloudpickle"},  # which comes with the packages of all clusters
    "aiodag._core.arity": {"annotationlib"},  # of the standard library from Python 3.14 on
}

FORBIDDEN = re.compile(r"^(?:managers?|helpers?|utils?|data|infos?)$", re.IGNORECASE)
FORBIDDEN_START = re.compile(r"^_*(?:do_|I[A-Z][a-z]|Base[A-Z_]|base_)")
FORBIDDEN_FILES = {"utils.py", "common.py", "base.py", "types.py"}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# Nothing here needs the network to run. These names stand for nobody, or belong to a source that is cited.
HOST = re.compile(r"(?<![\w@/-])(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev)\b(?![\w(.])", re.IGNORECASE)
CITED = {
    "example.com",
    "example.org",
    "www.example.org",
    "example.net",
    "docs.python.org",
    "www.rfc-editor.org",
    "rfc-editor.org",
    "peps.python.org",
    "github.com",
    "yaml.org",  # the name of its core schema
    "json-schema.org",  # the name of the language of schemas
    "www.w3.org",  # the name of SVG
    "w3.org",
}
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b|Not[I]mplementedError")
SOMEBODYS_DISK = re.compile(r"(?:^|[\s\"'`(=:])/(?:home|root|work|Users)/", re.MULTILINE)
TEXT = {".py", ".md", ".toml", ".cfg", ".txt", ".json", ".mjs", ".js", ".svg", ".yml", ".yaml", ""}
NOT_OURS = {".git", ".venv", ".venv-demo", ".envs", "node_modules", "__pycache__", "build", "dist"}


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
MODULES = {name_of(path): path for path in SOURCES}


def ours(path):
    names = set(path.relative_to(ROOT).parts)
    return not names & NOT_OURS and not any(re.search(r"_cache$|\.egg-info$|^\.hypothesis$", name) for name in names)


TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(ROOT.rglob("*"))
    if path.suffix in TEXT and ours(path) and path.is_file()
}

each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())


def at(path, node):
    return f"{path.relative_to(ROOT)}:{node.lineno}"


class Imports(ast.NodeVisitor):
    """What a module imports: when it is loaded, when a function of it runs, and, apart, for type checkers alone."""

    def __init__(self, module, is_package):
        self.package = module if is_package else module.rpartition(".")[0]
        self.found, self.types = set(), set()

    def visit_If(self, node):
        test = node.test
        if getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING":
            here, self.found = self.found, self.types
            for each in node.body:
                self.visit(each)
            self.found = here
            for each in node.orelse:
                self.visit(each)
        else:
            self.generic_visit(node)

    def visit_Import(self, node):
        self.found |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node):
        source = node.module or ""
        if node.level:
            package = self.package.split(".")
            source = ".".join([*package[: len(package) - node.level + 1], *filter(None, [source])])
        for alias in node.names:
            inner = f"{source}.{alias.name}"
            self.found.add(inner if inner in MODULES else source)


def imports(path):
    visitor = Imports(name_of(path), path.name == "__init__.py")
    visitor.visit(TREES[path])
    return visitor


def of_aiodag(names):
    return {name for name in names if name.split(".")[0] == "aiodag"}


def room_of(module):
    """The files of the room that a module is in, in any order: types may refer to each other there."""
    room = ".".join(module.split(".")[:2])
    return {each for each in MODULES if each.startswith(f"{room}.")} if module.count(".") > 1 else set()


def test_every_module_has_a_row_and_every_core_row_a_place():
    missing = set(MODULES) - set(LAYERS)

    assert not missing, f"say in LAYERS what these may import: {sorted(missing)}"


@each_source
def test_imports_go_down_only(path):
    wrong = of_aiodag(imports(path).found) - LAYERS[name_of(path)]

    assert not wrong, f"{name_of(path)} may not import {sorted(wrong)}"


# What users are handed has the type that they write in their own code, `Node` and `Failure`, and not a protocol besides it.
HANDED = {
    "aiodag.abc": {"aiodag._core.node"},
    "aiodag.journal": {"aiodag._core.node"},
    "aiodag.sharing": {"aiodag._core.holdings"},
    "aiodag.errors.runs": {"aiodag._core.failure"},
}


@each_source
def test_types_come_from_below_or_from_the_same_room(path):
    name = name_of(path)

    wrong = of_aiodag(imports(path).types) - LAYERS[name] - room_of(name) - HANDED.get(name, set())

    assert not wrong, f"{name} may not know {sorted(wrong)}"


@each_source
def test_the_base_install_stands_on_the_standard_library(path):
    outside = {name.split(".")[0] for name in imports(path).found} - {"aiodag"}

    assert outside <= sys.stdlib_module_names | EXTRAS.get(name_of(path), set())


def test_importing_aiodag_loads_nothing_beyond_asyncio():
    code = (
        "import asyncio, sys; before = set(sys.modules); import aiodag; "
        "print(sorted(m for m in set(sys.modules) - before if not m.startswith('aiodag')))"
    )

    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    # From Python 3.14 on asyncio does without typing, which no library with types can, and without array, which packs moves.
    assert set(ast.literal_eval(loaded.stdout)) <= (
        {"typing", "_typing", "array"} if sys.version_info >= (3, 14) else set()
    )


def targets(node):
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr | ast.For) else []


# A run has a state of its own, here and in a store, and its ledger keeps records of its nodes: neither is a node.
# A node gets its first state where it is made, which is no move.
NOT_A_NODE = {
    "aiodag._core.submit": {"node"},
    "aiodag._core.node": {"node"},
    "aiodag._core.run": {"self"},
    "aiodag._core.members": {"self"},
    "aiodag.stores.kept": {"self"},
    "aiodag.stores.kept_copies": {"kept"},
}


def state_moves(tree, exempt=frozenset(), *, building=False):
    """Every place that assigns an attribute called state; giving a new object its first one is no move."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from state_moves(node, exempt, building=node.name == "__init__")
            continue
        for target in (each for whole in targets(node) for each in ast.walk(whole)):
            if isinstance(target, ast.Attribute) and target.attr in {"state", "_state"}:
                owner = getattr(target.value, "id", "")
                if owner not in exempt and not (building and owner == "self"):
                    yield target
        if isinstance(node, ast.Call) and sets_state(node):
            yield node
        yield from state_moves(node, exempt, building=building)


def sets_state(call):
    setter = getattr(call.func, "id", getattr(call.func, "attr", "")) in {"setattr", "__setattr__"}
    return setter and any(isinstance(each, ast.Constant) and each.value in {"state", "_state"} for each in call.args)


@each_source
def test_only_the_engine_moves_a_state(path):
    moves = [at(path, node) for node in state_moves(TREES[path], NOT_A_NODE.get(name_of(path), frozenset()))]

    assert not moves or name_of(path) == "aiodag._core.engine", f"moves a state: {moves}"


def names(tree):
    """Every name that a module gives: to functions, classes, arguments, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node, node.name
        elif isinstance(node, ast.arg):
            yield node, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node, node.attr


def is_forbidden(name):
    return bool(FORBIDDEN_START.match(name)) or any(FORBIDDEN.match(word) for word in WORD.findall(name))


# Names that others have given: scripts call it so, or a library calls us by it.
THEIRS = {
    "aiodag.compat.pydag": {"task_manager"},
    "aiodag.commands.ssh": {"data_received", "data", "datatype"},
    "aiodag.listening.uvicorn": {"data_received", "data"},
}


@each_source
def test_names_use_the_words_of_the_house(path):
    theirs = THEIRS.get(name_of(path), set())
    found = [(node, name) for node, name in names(TREES[path]) if is_forbidden(name) and name not in theirs]
    wrong = [f"{at(path, node)} {name}" for node, name in found]

    assert not wrong


def test_files_use_the_words_of_the_house():
    wrong = [
        name for name in TEXTS if name.rpartition("/")[2] in FORBIDDEN_FILES or any(map(is_forbidden, stems(name)))
    ]

    assert not wrong


def stems(name):
    return (part.partition(".")[0] for part in name.split("/"))


@pytest.mark.parametrize("name", ["NodeManager", "do_run", "IStore", "BaseStore", "graph_info", "utils", "_data"])
def test_a_forbidden_word_is_seen_in_any_spelling(name):
    assert is_forbidden(name)


@pytest.mark.parametrize("name", ["Node", "IOStore", "document", "database", "informed", "done", "Based", "base"])
def test_a_word_that_only_holds_a_forbidden_one_is_fine(name):
    assert not is_forbidden(name)


@each_source
def test_functions_and_modules_stay_small(path):
    functions = [node for node in ast.walk(TREES[path]) if isinstance(node, house.Function)]

    long = [f"{at(path, node)} {node.name}" for node in functions if house.length_of(node) > 60]

    written = len(path.read_text(encoding="utf-8").splitlines()) - house.lines_of_examples(TREES[path])

    assert not long
    assert written <= 400


# What `python -m benchmarks.house --list` prints, held. Each number is what there still is: it is only ever lowered.
HOUSE = house.modules_of(PACKAGE)


def shown(found):
    return [f"{each.module}:{each.line} {each.what}" for each in found]


def test_no_module_names_another_in_a_string_but_the_table_of_doors():
    assert shown(house.string_imports(HOUSE)) == []


# A room, and what it never knows: not by an import, not for types, not by a name in a string.
LAYERS_ABOVE_CORE = [
    "codec",
    "stores",
    "commands",
    "executors",
    "pictures",
    "traces",
    "schedules",
    "workflows",
    "service",
    "cli",
    "compat",
    "testing",
]
NEVERS = {
    "_core": LAYERS_ABOVE_CORE,
    "abc": LAYERS_ABOVE_CORE,
    "journal": LAYERS_ABOVE_CORE,
    "queueing": LAYERS_ABOVE_CORE,
    "copies": LAYERS_ABOVE_CORE,
    "codec": ["stores", "commands", "executors", "pictures", "traces", "workflows", "service", "cli", "compat"],
    "stores": ["commands", "executors", "pictures", "traces", "workflows", "service", "cli", "compat"],
    "commands": ["stores", "executors", "pictures", "traces", "workflows", "service", "cli", "compat"],
    "executors": ["stores", "commands", "pictures", "traces", "workflows", "service", "cli", "compat"],
    "pictures": ["stores", "commands", "executors", "traces", "workflows", "service", "cli", "compat"],
    "traces": ["stores", "commands", "executors", "pictures", "workflows", "service", "cli", "compat"],
    "workflows": ["pictures", "traces", "service", "cli", "compat", "testing"],
    "service": ["cli", "compat", "traces"],
    "cli": ["_core", "abc", "codec", "stores", "commands", "executors", "pictures", "traces", "workflows", "compat"],
    "web": [
        "_core",
        "abc",
        "codec",
        "stores",
        "commands",
        "executors",
        "pictures",
        "traces",
        "workflows",
        "compat",
        "cli",
    ],
}


@pytest.mark.parametrize("room", NEVERS)
def test_a_room_never_knows_those_that_are_not_below_it(room):
    never = tuple(f"aiodag.{each}" for each in NEVERS[room])
    inside = [
        path for path in SOURCES if name_of(path) == f"aiodag.{room}" or name_of(path).startswith(f"aiodag.{room}.")
    ]

    known = {path: imports(path).found | imports(path).types for path in inside}
    wrong = [f"{name_of(path)}: {each}" for path in known for each in known[path] if each.startswith(never)]

    assert inside
    assert wrong == []


def test_every_door_leads_to_a_module():
    assert set(DOORS.values()) <= set(MODULES)


def test_no_name_at_top_level_stands_in_two_modules():
    doubled = house.doubled_names(HOUSE)

    assert len({each.what.partition(" ")[0] for each in doubled}) <= 0, shown(doubled)


def test_names_of_functions_say_their_object():
    bare = house.participles(HOUSE)

    assert len(bare) <= 0.02 * len(house.function_names(HOUSE)), shown(bare)


def test_parameters_have_a_type_that_says_something():
    plain = house.plain_any(HOUSE)

    assert len(plain) <= 0.05 * sum(len(house.parameters(module)) for module in HOUSE), shown(plain)


def test_classes_stay_small():
    assert shown(house.large_classes(HOUSE)) == []


def test_modules_leave_the_attributes_of_others_alone():
    written = house.foreign_writes(HOUSE)

    assert len(written) <= 6.4 * sum(len(module.text.splitlines()) for module in HOUSE) / 1000, shown(written)


def measured(tmp_path, **files):
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    return house.modules_of(tmp_path)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("from importlib import import_module\nimport_module('{package}.stores')", 1),
        ("import importlib\nimportlib.import_module(f'{package}.cli')", 1),
        ("__import__('{package}')", 1),
        ("PLACE = '{package}.stores'\nimport_module(PLACE)", 1),
        ("import_module(name)", 1),  # nobody knows of what
        ("import_module('random')", 0),
        ("PLACE = 'copy'\nimport_module(PLACE)", 0),
    ],
)
def test_an_import_by_name_is_seen(tmp_path, text, seen):
    modules = measured(tmp_path, one=text.replace("{package}", tmp_path.name))

    assert len(house.string_imports(modules)) == seen


def test_a_doubled_name_is_seen_in_both_places(tmp_path):
    modules = measured(tmp_path, one="def found(): ...\ndef other(): ...", two="if True:\n    class found: ...")

    assert [(each.module, each.line) for each in house.doubled_names(modules)] == [("one.py", 1), ("two.py", 2)]


def test_a_bare_participle_is_seen_and_one_with_its_object_is_fine(tmp_path):
    names = ("told", "_made", "checked", "told_of", "need", "read", "run", "make", "__set__")
    modules = measured(tmp_path, one="\n".join(f"def {name}(): ..." for name in names))

    assert [each.what for each in house.participles(modules)] == ["told", "_made", "checked"]


def test_a_plain_any_is_seen_and_one_inside_another_type_is_fine(tmp_path):
    modules = measured(tmp_path, one="def f(self, a: Any, b: list[Any], *c: 'Any', d: object, e=1): ...")

    assert [each.what for each in house.plain_any(modules)] == ["a", "c"]


def test_a_write_to_the_object_of_another_module_is_seen(tmp_path):
    text = "class Own:\n    here: int\n    def f(self, node): self.kept = node.kept = node.here = node.row = 1"
    modules = measured(tmp_path, one=text)

    assert [each.what for each in house.foreign_writes(modules)] == ["node.row"]


def test_a_large_class_is_seen_whatever_its_examples_take(tmp_path):
    lines = "\n".join(f"    a{number} = 1" for number in range(250))
    example = '    """Hold.\n\n    >>> 1\n    1\n    """\n'
    modules = measured(tmp_path, one=f"class Small:\n{lines[:-11]}", two=f"class Large:\n{example}{lines}")

    assert [each.what.partition(":")[0] for each in house.large_classes(modules)] == ["Large"]


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_left_unfinished(name):
    assert UNFINISHED.findall(TEXTS[name]) == []


@pytest.mark.parametrize("name", [name for name in TEXTS if not name.endswith("package-lock.json")])
def test_no_file_names_a_host_of_the_network_or_a_disk_of_somebody(name):
    hosts = {host.lower() for host in HOST.findall(TEXTS[name])}

    assert hosts - CITED == set()
    assert not SOMEBODYS_DISK.search(TEXTS[name])


def test_the_face_is_this_list():
    public = [name for name, thing in vars(aiodag).items() if name[0] != "_" and not inspect.ismodule(thing)]

    assert sorted(public) == sorted(FACE)


def test_the_face_has_no_code():
    allowed = ast.Import | ast.ImportFrom | ast.Assign | ast.Expr
    body = TREES[PACKAGE / "__init__.py"].body

    assert [at(PACKAGE / "__init__.py", node) for node in body if not isinstance(node, allowed)] == []


@pytest.mark.parametrize("name", FACE)
def test_every_public_name_says_what_it_is(name):
    thing = getattr(aiodag, name)

    assert vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__
