"""Relay the outbox of a store in processes that are killed: relays.py STORE SEED KILLS."""

import asyncio
import os
import random
import signal
import sys
import threading
import traceback

from transports import File

from aiodag.messages import register_transport
from aiodag.service import relaying
from aiodag.stores.places import store_at

CALLS = 3_000  # of functions, after which one is killed at the latest


def kill_after(calls):
    """Have this process killed when it has called so many functions, whatever it does there."""
    left = iter(range(calls))

    def count(_frame, event, _arg):
        if event == "call" and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)
    sys.setprofile(count)


async def relay_all(store):
    async with relaying.Carrier(store, (), print) as carrier:
        while await asyncio.to_thread(store.relays):
            await carrier.look()
            await asyncio.sleep(0)


def relay(place, calls):
    """Relay in a process of its own, which is copied from this one, and return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        store = store_at(place)
        if calls:
            kill_after(calls)
        asyncio.run(relay_all(store))
        store.close()
    except BaseException:  # noqa: BLE001 - of a copy, which must not go on as the first one
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main(place, seed, kills):
    register_transport("file", lambda address: File(address.partition(":")[2]))
    relaying.AT_ONCE = 3  # many portions
    moments = random.Random(int(seed))
    for _ in range(int(kills)):
        print(relay(place, moments.randrange(1, CALLS)))
    print(relay(place, 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
