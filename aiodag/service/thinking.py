"""Think one thing through, as a process of its own: `python -m aiodag.service.thinking`.

The code of workflows is imported here, which may block, print, or end the process. The request comes as a line of JSON on stdin,
which stays open: when it ends, the process that asked has ended, and this one ends too. The answer goes to what was stdout when
the process began; what code prints goes nowhere.
"""

import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from aiodag.errors import AiodagError, EntryError
from aiodag.service.service import Service
from aiodag.service.thoughts import THOUGHTS

MEMORY = 4 * 2**30  # bytes


def answer_one() -> None:
    """Answer the request on stdin, and end the process at once: what code has started stays behind."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    asks = os.fdopen(os.dup(0), "rb")
    os.dup2(nowhere, 0)
    give_way()
    line = asks.readline()
    threading.Thread(target=end_with_asker, args=[asks], name="aiodag lifeline", daemon=True).start()
    answers.write(json.dumps(thought_answer(json.loads(line))).encode())
    answers.flush()
    os._exit(0)


def give_way() -> None:
    """Have this process end before others where there is too little memory: a short text may stand for millions of nodes."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - not on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def end_with_asker(asks: BinaryIO) -> None:
    """End this process when the one that asked has ended."""
    asks.read()
    os._exit(1)


def thought_answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request: what was thought, or the error that the library raises."""
    service = Service(request["store"])
    try:
        return {"thought": THOUGHTS[request["what"]](service, request["asked"])}
    except AiodagError as error:
        return described_error(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - of others' code
        return described_error(EntryError(f"its code raised {type(error).__name__}: {error}"))


def described_error(error: AiodagError) -> dict[str, Any]:
    """Return an error of the library as JSON."""
    complaints = [[each.place, each.text] for each in getattr(error, "complaints", ())]
    return {
        "error": type(error).__name__,
        "text": str(error),
        "complaints": complaints,
        "near": getattr(error, "near", None),
    }


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    answer_one()
