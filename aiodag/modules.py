"""Import a file that people name by its path."""

import sys
from asyncio import runners
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from aiodag.errors import EntryError

GUARD = '`if __name__ == "__main__":`'


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
        sys.modules.pop(name, None)
        if not isinstance(error, Exception | SystemExit):
            raise
        msg = f"{file}: {raised(error)}"
        raise EntryError(msg) from error
    return module


def raised(error: BaseException) -> str:
    """Say what importing a file raised, and what helps where the file has run something of its own."""
    text = f"importing it raised {type(error).__name__}: {error}"
    if isinstance(error, SystemExit) or began_loop(error):
        return f"{text.rstrip(': ')}. A file is imported before it runs: put what runs it below {GUARD}"
    return text


def began_loop(error: BaseException) -> bool:
    """Tell whether something was raised by `asyncio.run`, or below it."""
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == runners.__file__:
            return True
        traceback = traceback.tb_next
    return False
