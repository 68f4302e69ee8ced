"""Import a file that people name by its path."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from aiodag.errors import EntryError


def load(file: str) -> ModuleType:
    """Import a file under its own name, as another file beside it would import it. Raises `EntryError`."""
    path = Path(file).resolve()
    if not path.is_file():
        msg = f"{file}: no such file. Give FILE.py or FILE.py:TASK"
        raise EntryError(msg)
    name = path.stem
    there = sys.modules.get(name)
    if there is not None and Path(getattr(there, "__file__", None) or "").resolve() == path:
        return there
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None or there is not None:
        why = "it is not a Python file" if there is None else f"a module {name!r} is loaded already: rename the file"
        msg = f"{file}: cannot be imported, {why}"
        raise EntryError(msg)
    module = module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception):
            raise
        msg = f"{file}: importing it raised {type(error).__name__}: {error}"
        raise EntryError(msg) from error
    return module
