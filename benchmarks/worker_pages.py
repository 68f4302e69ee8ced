"""Clients of a server: pages that follow a run until it ends, or lists that are read so often a second.

    python worker_pages.py follow|list ADDRESS TOKEN RUN NUMBER

The last line is JSON: what they have found.
"""

import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit


class Client:
    """The connections to one server."""

    def __init__(self, address: str, token: str) -> None:
        parts = urlsplit(address)
        self.host, self.port = parts.hostname or "", parts.port
        self.head = f"Host: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
        """Send a request; return the connection, and the head of the answer."""
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection(self.host, self.port)
        writer.write(f"GET {path} HTTP/1.1\r\n{self.head}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        return reader, writer, head

    async def read(self, path: str) -> float:
        """Read an answer whole; return how long after the call it was there."""
        began = time.perf_counter()
        reader, writer, head = await self.ask(path)
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        taken = time.perf_counter() - began
        self.idle.append((reader, writer))
        return taken


async def open_stream(client: Client, run_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin to follow a run."""
    reader, writer, _ = await client.ask(f"/api/v1/runs/{run_id}/events?kinds=run,moves")
    return reader, writer


async def read_to_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, Any]:
    """Follow a run to its end; return how many bytes came, and whether the end did."""
    size, ended, tail = 0, False, b""
    while not ended and (some := await reader.read(2**16)):
        size += len(some)
        ended = b"event: end" in tail + some
        tail = some[-16:]
    writer.close()
    return {"bytes": size, "ended": ended}


async def follow(client: Client, run_id: str, number: int) -> dict[str, Any]:
    """Follow a run as many pages do."""
    streams = await asyncio.gather(*(open_stream(client, run_id) for _ in range(number)))
    print("all follow", flush=True)
    found = await asyncio.gather(*(read_to_end(*each) for each in streams))
    return {"streamed": sum(each["bytes"] for each in found), "seen_end": sum(each["ended"] for each in found)}


async def read_lists(client: Client, run_id: str, number: int) -> dict[str, Any]:
    """Read lists, each when it is due, until a run has ended; return how long after that the answers were there."""
    taken: list[float] = []
    following = asyncio.create_task(read_to_end(*await open_stream(client, run_id)))
    began, asked = time.perf_counter(), []
    while not following.done():
        asked.append(asyncio.create_task(client.read("/api/v1/runs?limit=50")))
        await asyncio.sleep(max(0.0, began + len(asked) / number - time.perf_counter()))
    taken = sorted(await asyncio.gather(*asked))
    await following
    return {
        "answers": len(taken),
        "p50": taken[len(taken) // 2],
        "p99": taken[int(len(taken) * 0.99)],
        "most": taken[-1],
    }


async def main(kind: str, address: str, token: str, run_id: str, number: str) -> None:
    """Be the clients of a kind."""
    client = Client(address, token)
    load = follow if kind == "follow" else read_lists
    print(json.dumps(await load(client, run_id, int(number))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
