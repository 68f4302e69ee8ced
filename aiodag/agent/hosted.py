"""One program at an agent: it waits for resources, runs, and has ended; its owner is heard of, or it is ended."""

import asyncio
import json
from collections.abc import Mapping

from aiodag._core.capacity import Capacity
from aiodag._core.holdings import Ticket
from aiodag.agent.log import ProgramLog
from aiodag.agent.requests import Order
from aiodag.commands.agent_wire import END, FRAME_LARGEST, KINDS, START
from aiodag.commands.local import LOCAL, machine_name
from aiodag.programs import ProgramEnd, ProgramLost, ProgramNotStarted, ProgramRequest

WAITING, RUNNING, ENDED = "waiting", "running", "ended"
BY_OWNER = "its owner has ended it"


class HostedProgram:
    """A program of a client: from its request to its end, which stays until the client has it.

    `seen_until` is the moment on the clock of the loop until which its owner is taken to be there.
    """

    def __init__(self, order: Order, ticket: Ticket, log: ProgramLog, seen_until: float) -> None:
        self.digest = order.digest
        self._request: ProgramRequest | None = order.request  # until it has ended: it may be large, and have secrets
        self.ticket = ticket
        self.log = log
        self.seen_until = seen_until
        self.phase = WAITING
        self.ended_at = 0.0  # on that clock
        self.why_ended = ""  # if the agent has ended it
        self._orphaned = False
        self.task: asyncio.Task[None] | None = None

    async def run(self, capacity: Capacity, env: Mapping[str, str]) -> None:
        """Wait for the resources, run the program, and put its end into its log, whatever that is."""
        try:
            waiting = self.ticket.future
            if waiting is not None:
                await waiting
            self.phase = RUNNING
            request = self._request
            assert request is not None
            await LOCAL.run(request._replace(env={**env, **request.env}), self)
        except asyncio.CancelledError:
            if not self.log.ended:  # it had not begun
                self._say_end(self._describe_unbegun())
        except ProgramNotStarted as fault:
            self._say_end({"refused": str(fault)})
        except ProgramLost as fault:
            self._say_end({"lost": str(fault)})
        except Exception as error:  # noqa: BLE001 - of one program, and not of the agent
            self._say_end({"lost": f"has ended in a way that nobody knows: {type(error).__name__}: {error}"})
        finally:
            self.phase = ENDED
            self._request = None
            self.ended_at = asyncio.get_running_loop().time()
            capacity.release(self.ticket)

    def _describe_unbegun(self) -> dict[str, object]:
        if self._orphaned:  # nothing is wrong with this place
            return {"lost": f"was lost: it waited at its agent, and {self.why_ended}"}
        return {"refused": self.why_ended or "it was cancelled", "elsewhere": True}

    def end(self, why: str, *, orphaned: bool = False) -> None:
        """Have it end, if it has not: TERM, and KILL after the grace. `orphaned` if it is for want of an owner."""
        if self.task is not None and not self.why_ended and self.phase != ENDED:
            self.why_ended, self._orphaned = why, orphaned
            self.task.cancel()

    def note_start(self, facts: Mapping[str, object], /) -> None:
        """Tell that it has started."""
        self.log.append(START, json.dumps(facts).encode())

    def wrote(self, stream: str, chunk: bytes, /) -> None:
        """Take what it wrote."""
        for begin in range(0, len(chunk), FRAME_LARGEST):
            self.log.append(KINDS[stream], chunk[begin : begin + FRAME_LARGEST])

    def note_end(self, end: ProgramEnd, /) -> None:
        """Tell how it ended."""
        told = {each: getattr(end, each) for each in ENDING}
        document = {"end": told, "host": machine_name(), "dropped": self.log.dropped}
        self._say_end({**document, "by_agent": "" if self.why_ended == BY_OWNER else self.why_ended})

    def _say_end(self, document: Mapping[str, object]) -> None:
        self.log.append(END, json.dumps(document).encode())


ENDING = ("code", "started_at", "ended_at", "pid", "cpu_seconds", "peak_bytes", "left")


async def ended_all(programs: "list[HostedProgram]") -> None:
    """Wait until programs have ended."""
    tasks = [each.task for each in programs if each.task is not None]
    if tasks:
        await asyncio.wait(tasks)
