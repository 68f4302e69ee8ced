"""What is known of one program while it runs, wherever that is: told by its host, and passed on to the journal of the run."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from weakref import ref

from aiodag._core.context import current_node
from aiodag._core.letting_go import Leavable
from aiodag._core.named import host_named
from aiodag._core.retry import note_losses, recall_losses
from aiodag.commands.finished import Finished, ending_facts, shell_line
from aiodag.commands.transcript import Transcript
from aiodag.errors import OptionError
from aiodag.programs import ProgramLost

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag.abc import Host, Journal
    from aiodag.commands.transcript import Hear
    from aiodag.programs import ProgramEnd

log = logging.getLogger("aiodag.command")
OVER = frozenset({"code", "lost"})  # an attempt with one of these facts runs nowhere any more
OURS = OVER | {"command", "host", "label", "found", "losses"}  # facts that are not of the host


class ProgramRecord:
    """What a host tells of a program: kept, and passed on to who hears of it and to the journal, where there is one."""

    def __init__(
        self,
        line: tuple[str, ...],
        host: "Host",
        *,
        keep: int,
        on_output: "Hear | None" = None,
        on_end: "Callable[[Finished], object] | None" = None,
    ) -> None:
        node = current_node()
        run = None if node is None else node.run
        # Weak: a failed node holds its traceback, and that the frame which holds this.
        self._node = None if node is None else ref(node)
        self._journal: Journal | None = None if run is None else run.journal
        self.line = line
        self._on_end = on_end
        self._host = host.name
        self._end: ProgramEnd | None = None
        self._searching = self._labelled = False
        hears = [*([] if self._journal is None else [self._write]), *([] if on_output is None else [on_output])]
        self._streams = {name: Transcript(name, keep, hears) for name in ("stdout", "stderr")}
        self.note({"command": list(line), "host": self._host})
        if node is not None:
            note_losses(node)

    def note_start(self, facts: Mapping[str, object], /) -> None:
        """Note by what the host knows the program, for whoever looks while it goes on."""
        self.note(facts)

    def note(self, facts: Mapping[str, object]) -> None:
        """Note what is known of the attempt, in addition to what has been noted."""
        self._labelled = self._labelled or "label" in facts
        node = self._now()
        if self._journal is not None and node is not None:
            self._journal.facts(node, facts)

    # What an earlier execution of the run has left on a host

    def is_continued(self) -> bool:
        """Return True if an earlier execution of the run has begun this, and may have left its program on another host."""
        node = self._now()
        return node is not None and node.run is not None and bool(node.earlier)

    async def left_open(self) -> Mapping[str, Any]:
        """Return the facts of the last attempt of an earlier execution, if its program may still run somewhere."""
        node = self._now()
        if node is None or not node.earlier:
            return {}
        facts = await recall_losses(node)
        return facts if "label" in facts and not facts.keys() & OVER else {}

    def host_of(self, name: str) -> Any:
        """Return the host of the run, or of the file with settings, that records call by a name; None if there is none."""
        node = self._now()
        run = None if node is None else node.run
        hosts = {} if run is None else run.elsewhere.hosts
        found = next((host for host in hosts.values() if host.name == name), None)
        if found is None and name not in hosts:
            with suppress(OptionError):
                found = host_named(name, run)
        return found if found is None or found.name == name else None

    def facts_of_host(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return of the facts about an attempt those that its host has noted."""
        return {name: fact for name, fact in facts.items() if name not in OURS}

    def begin_search(self, host: str, label: str) -> None:
        """Note that the program of an earlier attempt is looked for: whoever continues after this has to look again."""
        node = self._now()
        self._host, self._searching = host, True
        self.note({"host": host, "label": label, "found": 0 if node is None else node.earlier})

    def end_search(self) -> None:
        """Note that it was found, or surely is not there: no later attempt looks again."""
        self._searching = False
        node = self._now()
        if node is not None:
            node.earlier = 0

    async def commit(self) -> None:
        """Wait until the store has all that was noted."""
        if self._journal is not None:
            await self._journal.commit()

    def is_left(self) -> bool:
        """Return True if the run goes on in another process, which will look for the program."""
        node = self._now()
        return node is not None and node.run is not None and node.run.departed

    def leavable(self, running: Any) -> Any:
        """Return what drives a host: the program goes on when the run goes on elsewhere, and ends on a cancel."""
        node = self._now()
        run = None if self._journal is None or node is None else node.run
        return running if run is None else Leavable(running, run)

    def note_over(self) -> None:
        """Note that nothing of the program runs, although nobody knows how it ended."""
        if self._labelled and not self._searching and self._end is None:
            self.note({"code": None})

    def _now(self) -> "Node[Any] | None":
        return None if self._node is None else self._node()

    # What the host tells

    def wrote(self, stream: str, chunk: bytes, /) -> None:
        """Keep what the program wrote."""
        self._streams[stream].add(chunk)

    def note_end(self, end: "ProgramEnd", /) -> None:
        """Keep how the program ended."""
        for stream in self._streams.values():
            stream.add(b"", last=True)
        self._end = end

    def finish(self) -> Finished:
        """Return how the program ended, note it, and tell whoever wants to hear. Raises `ProgramLost`."""
        end = self._end
        if end is None:
            msg = f"has ended in a way that nobody knows: its host, {self._host}, has not said how it ended"
            raise ProgramLost(msg)
        out, err = self._streams["stdout"], self._streams["stderr"]
        stdout, stdout_dropped = out.kept.text()
        stderr, stderr_dropped = err.kept.text()
        finished = Finished(
            self.line,
            end.code,
            stdout,
            stderr,
            stdout_dropped,
            stderr_dropped,
            datetime.fromtimestamp(end.started_at, UTC),
            datetime.fromtimestamp(end.ended_at, UTC),
            end.host or self._host,
            end.pid,
            end.cpu_seconds,
            end.peak_bytes,
            out.mask.count > 0,
        )
        machine = {"host": end.host} if end.host else {}  # of a pool or a cluster, the one that ran it
        self.note({**ending_facts(finished), **machine})
        if end.left:
            log.warning(
                "%s has ended, but no signal ends what it left in session %d", shell_line(finished.args), finished.pid
            )
        self._tell_end(finished)
        return finished

    def _tell_end(self, finished: Finished) -> None:
        if self._on_end is None:
            return
        try:
            self._on_end(finished)
        except Exception as error:  # noqa: BLE001 - of a listener, who cannot interfere
            message = f"{self._on_end!r}, which hears of the end of a command, raised"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})

    def _write(self, stream: str, chunk: bytes) -> None:
        node = self._now()
        if self._journal is not None and node is not None:
            self._journal.output(node, stream, chunk)
