"""A whole transport in this process: a model for others, and what the tests of workers carry messages with."""

import asyncio
import os

from aiodag.records import Incoming


class Post:
    """A post office: what is sent to it can be received from it, until whoever receives asks for more."""

    def __init__(self):
        self.there = []
        self.came = asyncio.Event()
        self.closed = False

    async def receive(self):
        while True:
            await self.came.wait()
            batch = list(self.there)
            yield batch
            del self.there[: len(batch)]
            if not self.there:
                self.came.clear()

    async def send(self, messages):
        for each in messages:
            self.put(Incoming(each.topic, each.keys, each.id, each.payload, each.to_all, headers=each.headers))

    def put(self, message):
        self.there.append(message)
        self.came.set()

    async def close(self):
        self.closed = True


class File:
    """Appends what is sent to a file, a line for each message in one write, as other processes do meanwhile."""

    def __init__(self, path):
        self.path = path

    async def receive(self):
        return
        yield

    async def send(self, messages):
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            for each in messages:
                os.write(descriptor, f"{each.keys[0]} {each.id} {each.payload}\n".encode())
        finally:
            os.close(descriptor)

    async def close(self):
        pass
