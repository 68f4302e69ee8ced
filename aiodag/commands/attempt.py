"""One attempt of a program, on a host: from the request to how it ended, or why nobody knows."""

import asyncio
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from os import urandom
from typing import Any

from aiodag._core.capacity import asked_amounts, request_at
from aiodag._core.context import current_node
from aiodag._core.named import host_for
from aiodag._core.options import time_limit_at
from aiodag._core.submit import engine_of
from aiodag.abc import Host
from aiodag.commands.finished import CommandFailed, CommandLost, Finished, how, shell_line
from aiodag.commands.local import LOCAL, LocalHost
from aiodag.commands.record import ProgramRecord
from aiodag.programs import ProgramLost, ProgramNotFound, ProgramNotStarted, ProgramRequest

log = logging.getLogger("aiodag.command")
UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")  # in a label: queues, files and URLs have it
SHORT = 40  # characters of a name in a label


def destined(body: Any, request: ProgramRequest) -> tuple[Host, ProgramRequest]:
    """Return where the program of a body runs, and the request with what the task asks for in this attempt."""
    node = current_node()
    if node is None or not getattr(type(node.task.fn), "on_host", False):  # another body calls it, or none
        return host_for(body, None) or LOCAL, request._replace(label=new_label("", request.args[0], 1))
    options, run = node.task.options, node.run
    request = request._replace(
        resources=asked_amounts(request_at(options.resources, node.attempt)),
        time_limit=time_limit_at(options.timeout, node.attempt),
        label=new_label("" if run is None else run.id or run.name, node.name, node.attempt),
    )
    return host_for(body, run) or LOCAL, request


def new_label(run: str, name: str, attempt: int) -> str:
    """Return text that no other attempt has, of whatever run of whatever store, and that people can read."""
    readable = [UNSAFE.sub("-", each)[:SHORT].strip("-") for each in (run, name)]
    return ".".join([*filter(None, readable), str(attempt), urandom(6).hex()])


async def run_program(host: Host, request: ProgramRequest, record: ProgramRecord) -> Finished:
    """Run a program on a host, and return how it ended: as a success or not. Raises `CommandFailed`, and `CommandLost`.

    It takes real time: a virtual clock waits for it.
    """
    try:
        with engine_of(asyncio.get_running_loop()).real_time:
            if hasattr(host, "find") or record.is_continued():
                await find_or_run(host, request, record)
            else:
                await host.run(request, record)
        return record.finish()
    except asyncio.CancelledError as cancelled:
        with suppress(ProgramLost):  # there may have been nothing to cancel yet
            # The traceback of a timeout shows what it said last.
            cancelled.add_note(f"{shell_line(record.line)} {how(record.finish())}")
        record.note_over()
        raise
    except ProgramNotStarted as fault:
        record.note_over()
        raise CommandFailed(record.line, str(fault)) from fault.__cause__
    except ProgramLost as fault:
        record.note_over()
        if isinstance(host, LocalHost):  # a failure since there are commands: only who gives `retries` has it run again
            raise CommandFailed(record.line, str(fault)) from None
        raise CommandLost(record.line, str(fault), fault.reason) from None


async def find_or_run(host: Host, request: ProgramRequest, record: ProgramRecord) -> None:
    """Take up the program that an earlier owner of the run has started, or else run it.

    That an attempt has begun is in the store before its program can be anywhere: nobody starts it again without a look.
    """
    left, cancelled = await look_back(record)
    finder: Any = None
    if left:
        finder = host if host.name == left["host"] else record.host_of(left["host"])
        if not hasattr(finder, "find"):
            there = f"{shell_line(record.line)} was started on {left['host']}, which the run does not have now"
            log.warning("%s: it may still run there, as %s, and is started anew on %s", there, left["label"], host.name)
        elif await take_up(finder, request._replace(label=left["label"]), left, record, cancelled):
            return
    if cancelled is not None:
        raise cancelled
    if not hasattr(host, "find"):  # what runs there ends with its owner: nothing to look for
        await host.run(request, record)
        return
    record.note({"host": host.name, "label": request.label})
    await record.commit()
    await record.leavable(host.run(request, record))


async def look_back(record: ProgramRecord) -> tuple[Mapping[str, Any], asyncio.CancelledError | None]:
    """Return the facts of the attempt that an earlier execution has left open, and a cancel that came meanwhile.

    What was left there has to end, too, when it is cancelled.
    """
    cancelled = None
    look = asyncio.ensure_future(record.left_open())
    while not look.done():
        try:
            await asyncio.wait([look])
        except asyncio.CancelledError as error:
            cancelled = error
    return look.result(), cancelled


async def take_up(
    host: Any,
    request: ProgramRequest,
    left: Mapping[str, Any],
    record: ProgramRecord,
    cancelled: asyncio.CancelledError | None,
) -> bool:
    """Go on with the program of an earlier attempt until it has ended; return False if nothing of it is there."""
    record.begin_search(host.name, request.label)
    finding = host.find(record.facts_of_host(left), request, record)
    try:
        if cancelled is None:
            await record.commit()
            await record.leavable(finding)
        elif record.is_left():
            finding.close()
            raise cancelled
        else:
            await end_found(finding)
    except ProgramNotFound as nothing:
        log.info("%s of an earlier attempt is not on %s: %s", shell_line(record.line), host.name, nothing)
        record.end_search()
        return False
    except (ProgramLost, asyncio.CancelledError):
        record.end_search()
        raise
    record.end_search()
    return True


async def end_found(finding: Any) -> None:
    """Have a program found and ended, since it was cancelled before anybody looked for it."""
    search = asyncio.ensure_future(finding)
    await asyncio.sleep(0)  # what has not begun would never hear of the cancel
    search.cancel()
    await search
