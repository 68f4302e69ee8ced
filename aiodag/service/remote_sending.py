"""Make of what people want to submit what a server can be sent: the name of a workflow there, or the text of a file here."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiodag.errors import EntryError, OptionError
from aiodag.service.binding import pairs_of
from aiodag.service.entry import Entry, parse_target
from aiodag.service.folders import target_in_folders
from aiodag.service.submitting import refuse_unwritable
from aiodag.service.targets import file_in
from aiodag.workflows.files.sources import is_workflow_file
from aiodag.workflows.workflow import Workflow

if TYPE_CHECKING:
    from aiodag.abc import Runs
    from aiodag.service.entry import Target
    from aiodag.service.parameters import Given

LARGEST = 16 * 2**20  # bytes of a file: a server takes no more


def form_to_send(store: "Runs", target: "str | Target", given: "Given") -> dict[str, Any]:
    """Return what is to run, as a server takes it, and its parameters. Raises `EntryError` and `OptionError`."""
    if isinstance(target, str):
        return form_of_text(store, target) | parameters_to_send(given)
    if given:
        msg = f"parameters={given!r:.200}: the target has its own; give FILE.json, FILE.yaml or a name with them"
        raise EntryError(msg)
    entry = Entry(**target.entry) if isinstance(target, Workflow) and target.entry else target
    if isinstance(entry, Workflow):
        return {"definition": entry.document()}
    for option in ("host", "executor"):
        if getattr(entry, option) is not None:
            raise OptionError(
                option,
                getattr(entry, option),
                "effect in a store; over HTTP a workflow says itself where its tasks run",
            )
    text = f"{entry.file}:{entry.task}" if entry.task else entry.file
    if isinstance(target, Workflow) and not Path(entry.file).is_file():
        return {"workflow": target.name} | parameters_to_send(entry.parameters)
    return form_of_text(store, text) | parameters_to_send(entry.parameters)


def form_of_text(store: "Runs", text: str) -> dict[str, Any]:
    """Return what people typed as a server takes it: the text of a file with workflows, or a name that the server has.

    A name in the folders of definitions here stands for its file.
    """
    is_file, is_there = file_in(text)
    if not is_file:
        in_folder = target_in_folders(text)
        if in_folder is None or store.registered(text):
            return {"workflow": text}
        return form_of_text(store, in_folder)
    file, member = parse_target(text)
    if not is_workflow_file(file):
        msg = f"{text} is Python, which {store} does not take over HTTP: register it in the store of the server, and submit it by its name"
        raise EntryError(msg)
    if not is_there:
        msg = f"{file}: no such file. Give FILE.json, FILE.yaml, or the name of a workflow that {store} has"
        raise EntryError(msg)
    form = {"definition": text_of_file(file), "source": Path(file).name}
    return form if member is None else form | {"member": member}


def text_of_file(file: str) -> str:
    """Return the text of a file. Raises `EntryError`."""
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            msg = f"{file}: larger than the {LARGEST:,} bytes that a server takes"
            raise EntryError(msg)
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{file}: cannot be read: {error}"
        raise EntryError(msg) from None


def parameters_to_send(given: "Given") -> dict[str, Any]:
    """Return the values of parameters by name, as JSON; nothing where there are none."""
    if not given:
        return {}
    if isinstance(given, Mapping):
        for name, value in given.items():
            refuse_unwritable(name, value)
        return {"parameters": dict(given)}
    return {"parameters": {name: each[0] if len(each) == 1 else each for name, each in pairs_of(given).items()}}
