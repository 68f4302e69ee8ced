"""One attempt of a program, on a host: from the request to how it ended, or why nobody knows."""

import asyncio
from contextlib import suppress

from aiodag._core.submit import engine_of
from aiodag.abc import Host
from aiodag.commands.finished import CommandFailed, CommandLost, Finished, how, shell_line
from aiodag.commands.record import ProgramRecord
from aiodag.programs import ProgramLost, ProgramNotStarted, ProgramRequest


async def run_program(host: Host, request: ProgramRequest, record: ProgramRecord) -> Finished:
    """Run a program on a host, and return how it ended: as a success or not. Raises `CommandFailed` where nobody can know.

    It takes real time: a virtual clock waits for it.
    """
    try:
        with engine_of(asyncio.get_running_loop()).real_time:
            await host.run(request, record)
        return record.finish()
    except asyncio.CancelledError as cancelled:
        with suppress(ProgramLost):  # there may have been nothing to cancel yet
            # The traceback of a timeout shows what it said last.
            cancelled.add_note(f"{shell_line(record.line)} {how(record.finish())}")
        raise
    except ProgramNotStarted as fault:
        raise CommandFailed(record.line, str(fault)) from fault.__cause__
    except ProgramLost as fault:
        raise CommandLost(record.line, str(fault), fault.reason) from None
