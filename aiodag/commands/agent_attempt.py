"""One program at an agent, on the side of its owner: started once, followed through broken connections, ended for sure.

All of it runs on the loop aside, and tells its watch on the loop of the run.
"""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from uuid import uuid4

from aiodag.commands.agent_link import ENDING, AgentLink, Rejected
from aiodag.commands.agent_wire import BEAT, END, GAP, START, STDIN_LARGEST, STREAMS, Frame, FrameReader, program_id
from aiodag.commands.aiohttp import NoAnswer
from aiodag.commands.loop_aside import LoopListener
from aiodag.programs import HostUnreachable, ProgramEnd, ProgramLost, ProgramNotStarted, ProgramRequest

T = TypeVar("T")

PAUSE = 0.2  # seconds until the agent is asked again, first
PAUSE_MOST = 2.0
FORGOTTEN = "its agent has forgotten it: nobody took its end in time"
STARTED_ANEW = "its agent has started anew, and ended what the one before had started"


class AgentPatience:
    """Waits for an agent that is silent, until what it had has certainly ended."""

    def __init__(self, address: str, grace: float) -> None:
        self._address = address
        self._grace = grace
        self.calm()

    def calm(self) -> None:
        """Note that the agent is there."""
        self._pause = PAUSE
        self._silent = False

    async def wait_out(self, link: AgentLink, why: str) -> None:
        """Wait a moment. Raises `ProgramLost` once what the agent has is over for sure."""
        if time.monotonic() >= link.ends_at(self._grace):
            self.lose(f"its agent is silent, and the program has ended by now: {why}", "connection")
        if not self._silent:
            self._silent = True
            link.note_silence(why)
        await asyncio.sleep(self._pause)
        self._pause = min(PAUSE_MOST, self._pause * 2)

    def lose(self, why: str, reason: str = "agent started anew") -> NoReturn:
        """Raise `ProgramLost`."""
        msg = f"has ended in a way that nobody knows: at {self._address}, {why}"
        raise ProgramLost(msg, reason=reason)


class AgentAttempt:
    """One program: `run` it, or `take_up` what somebody has started."""

    _link: AgentLink  # from the begin of the work on

    def __init__(self, address: str, request: ProgramRequest, watch: LoopListener) -> None:
        self._address = address
        # Whoever calls the host without a run may give no label.
        self._request = request if request.label else request._replace(label=uuid4().hex)
        self._watch = watch
        self._name = program_id(self._request.label)
        self._instance = ""  # of the agent that has it
        self._place = 0  # in its log
        self._end: Mapping[str, Any] | None = None
        self._patience = AgentPatience(address, request.grace)
        self._left = False  # its run goes on elsewhere
        self._unwanted = False  # it is to end, or not to begin
        self._begun = False
        self._flow = asyncio.Event()  # whether the loop of the run takes more
        self._flow.set()
        watch.pause_with(self._pause_flow)

    def _pause_flow(self, paused: bool) -> None:
        (self._flow.clear if paused else self._flow.set)()

    def cancel(self, task: "asyncio.Task[Any]") -> None:
        """End it, or do not begin: `task` does the work, and raises when nothing is left."""
        self._unwanted = True
        if self._begun:  # else the task itself would never begin, and nobody would look for what there may be
            task.cancel()

    def leave(self, task: "asyncio.Task[Any]") -> None:
        """Follow it no more, and leave it running."""
        self._left = True
        task.cancel()

    async def run(self, link: AgentLink) -> None:
        """Start the program and follow it to its end. Raises `ProgramNotStarted` and `ProgramLost`.

        Cancelled, it ends the program, waits for that, too, and only then raises.
        """
        await self._carry_out(link, self._start_and_follow())

    async def take_up(self, link: AgentLink, facts: Mapping[str, object]) -> bool:
        """Follow a program from its beginning to its end; return False if there surely is and was none."""
        self._name = str(facts.get("program", self._name))
        return await self._carry_out(link, self._find_and_follow(facts))

    async def _carry_out(self, link: AgentLink, work: Coroutine[Any, Any, T]) -> T:
        """Do the work, with the end of the program if this is cancelled."""
        self._link, self._begun = link, True
        link.programs.add(self._name)
        working = asyncio.create_task(work)
        ending = asyncio.create_task(self._send_end(working)) if self._unwanted else None
        try:
            while not working.done():
                try:
                    await asyncio.wait([working])
                except asyncio.CancelledError:
                    if self._left:
                        raise
                    ending = ending or asyncio.create_task(self._send_end(working))
            if not self._unwanted:
                return working.result()
            if not working.cancelled():
                working.exception()  # it is heard; and what is cancelled has no other outcome
            raise asyncio.CancelledError
        finally:
            for each in (working, ending):  # left where this run lets go of the program
                if each is not None:
                    each.cancel()
            link.programs.discard(self._name)

    # Begin

    async def _start_and_follow(self) -> None:
        body = order_of(self._request)
        await self._meet()
        await self._send_order(body)
        self._note_place()
        await self._follow()

    async def _meet(self) -> None:
        """Hear the agent's clock, and which one it is. Raises `HostUnreachable`."""
        try:
            await self._link.ask("GET", "/ready")
        except NoAnswer as fault:
            raise HostUnreachable(f"did not start: the agent at {self._address} does not answer: {fault}") from None
        except Rejected as fault:
            raise ProgramNotStarted(f"did not start: the agent at {self._address}: {fault}") from None
        self._instance = self._link.instance

    async def _send_order(self, body: Mapping[str, object]) -> None:
        """Have the agent start it, once: the label says that it is the same. Raises as `run` does."""
        unknown = False  # whether it may have been started
        while True:
            try:
                if self._unwanted and (not unknown or await self._is_barred()):
                    raise asyncio.CancelledError
                answer = await self._link.ask("POST", "/programs", body, self._instance)
            except (NoAnswer, Rejected) as fault:
                unknown |= not isinstance(fault, NoAnswer) or fault.sent
                if not unknown:
                    raise HostUnreachable(
                        f"did not start: the agent at {self._address} does not answer: {fault}"
                    ) from None
                await self._patience.wait_out(self._link, str(fault))
                continue
            if answer.code == 201:
                return
            why = f"did not start: the agent at {self._address}: {answer.error}"
            if answer.code == 412 and unknown:
                self._patience.lose(STARTED_ANEW)
            if answer.code == 412:
                self._instance = self._link.instance
            elif answer.code != 503:
                raise ProgramNotStarted(why)
            elif not unknown:
                raise HostUnreachable(why)
            else:
                await self._patience.wait_out(self._link, answer.error)  # an order may still be on its way

    async def _is_barred(self) -> bool:
        """Return True if the agent does not know the program: then it cannot come any more. Raises `NoAnswer`, `Rejected`."""
        return (await self._link.ask("POST", f"/programs/{self._name}/find")).code == 404

    async def _find_and_follow(self, facts: Mapping[str, object]) -> bool:
        self._instance = str(facts.get("instance", ""))
        orphan_grace = seconds_in(facts, "orphan_grace", self._link.orphan_grace)
        if facts.get("agent", self._address) != self._address:
            await asyncio.sleep(orphan_grace + self._request.grace + ENDING)
            self._patience.lose("another agent had it, and has ended it by now", "agent changed")
        # By then its agent has ended it, if that cannot be asked: its owner before was heard until now at the latest.
        self._link.heard_at = max(self._link.heard_at, time.monotonic() + orphan_grace - self._link.orphan_grace)
        while True:
            try:
                await self._link.ask("GET", "/ready")
                answer = await self._link.ask("POST", f"/programs/{self._name}/find")
            except (NoAnswer, Rejected) as fault:
                await self._patience.wait_out(self._link, str(fault))
                continue
            break
        if answer.code != 200:
            return self._miss()
        self._instance = self._link.instance
        self._note_place()
        await self._follow()
        return True

    def _miss(self) -> bool:
        """Return False if a program that the agent does not know never ran there. Raises `ProgramLost` if it did."""
        if self._instance == self._link.instance:
            self._patience.lose(FORGOTTEN, "forgotten by its agent")
        if self._instance:
            self._patience.lose(STARTED_ANEW)
        return False

    def _note_place(self) -> None:
        facts = {"agent": self._address, "instance": self._instance, "program": self._name}
        self._watch.note_start({**facts, "orphan_grace": self._link.orphan_grace})

    # Go on

    async def _follow(self) -> None:
        """Take what the program writes, and its end. Raises `ProgramLost`, and `ProgramNotStarted`."""
        while self._end is None:
            try:
                await self._listen()
            except (NoAnswer, Rejected, ValueError) as fault:
                await self._patience.wait_out(self._link, str(fault))
        self._link.take_end(self._name)
        try:
            self._tell_end(self._end)
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            self._patience.lose(f"its agent has told an end that cannot be read: {fault!r}", "unreadable end")

    async def _listen(self) -> None:
        reader = FrameReader(self._place)
        async with self._link.listen(f"/programs/{self._name}/log?from={self._place}") as (answer, chunks):
            if self._link.instance != self._instance:
                self._patience.lose(STARTED_ANEW)
            if answer.code == 404:
                self._patience.lose(FORGOTTEN, "forgotten by its agent")
            if answer.code != 200:
                raise Rejected(answer.error)
            async for chunk in chunks:
                self._patience.calm()
                self._link.note_sound()
                for frame in reader.feed(chunk):
                    self._take(frame)
                    self._place = frame.place
                await self._flow.wait()

    def _take(self, frame: Frame) -> None:
        kind, content, place = frame
        if kind in STREAMS:
            self._watch.wrote(STREAMS[kind], content)
        elif kind == BEAT:
            self._link.hear_clock(content.decode())
        elif kind == START:
            self._watch.note_start(json.loads(content))
        elif kind == END:
            self._end = json.loads(content)
        elif kind == GAP:
            told = f"[aiodag: the agent has dropped {place - self._place:,} bytes of the output here]\n"
            self._watch.wrote("stderr", told.encode())

    # End

    def _tell_end(self, told: Mapping[str, Any]) -> None:
        """Take how it ended. Raises `ProgramNotStarted` and `ProgramLost`."""
        if "refused" in told:
            if told.get("elsewhere"):
                raise HostUnreachable(f"did not start: at {self._address}, {told['refused']}")
            raise ProgramNotStarted(str(told["refused"]))
        if "lost" in told:
            raise ProgramLost(str(told["lost"]))
        if told.get("by_agent"):
            self._patience.lose(f"its agent has ended it: {told['by_agent']}", "ended by its agent")
        if told.get("dropped"):
            self._watch.wrote(
                "stderr",
                b"[aiodag: the agent's disk took no more: %d bytes of the output are missing]\n" % told["dropped"],
            )
        self._watch.note_end(ProgramEnd(**told["end"], host=told["host"]))

    async def _send_end(self, working: "asyncio.Task[Any]") -> None:
        """Have the agent end the program, until it has heard that: it may have the order still to come."""
        while not working.done():
            with suppress(NoAnswer, Rejected):
                answer = await self._link.ask("DELETE", f"/programs/{self._name}")
                if answer.code == 200:
                    return
            await asyncio.sleep(PAUSE)


def seconds_in(facts: Mapping[str, object], key: str, usual: float) -> float:
    """Return a number among the facts of an attempt."""
    found = facts.get(key)
    return float(found) if isinstance(found, int | float) else usual


def order_of(request: ProgramRequest) -> dict[str, object]:
    """Return what an agent is asked for. Raises `ProgramNotStarted` for what is too large."""
    stdin = request.stdin
    if isinstance(stdin, bytes) and len(stdin) > STDIN_LARGEST:
        msg = f"did not start: its stdin has {len(stdin):,} bytes, and an agent takes {STDIN_LARGEST:,}: put it into a file that the agent's machine has, and give the path"
        raise ProgramNotStarted(msg)
    content: object = None
    if stdin is not None:
        content = {"path": str(stdin)} if isinstance(stdin, Path) else {"base64": b64encode(stdin).decode()}
    return {
        "label": request.label,
        "args": request.args,
        "env": dict(request.env),
        "cwd": None if request.cwd is None else str(request.cwd),
        "stdin": content,
        "grace": request.grace,
        "resources": dict(request.resources),
    }
