"""Send messages in a run, and relay them, in processes that are killed: relays.py STORE FILE MESSAGES SEED KILLS."""

import asyncio
import os
import random
import signal
import sys
import threading
import traceback

from transports import File

from aiodag import Run, State
from aiodag.messages import Topic, register_transport, send
from aiodag.service import relaying
from aiodag.stores import Memory
from aiodag.stores.places import store_at

CALLS = 8_000  # of functions, after which one is killed at the latest


def kill_after(calls):
    """Have this process killed when it has called so many functions, whatever it does there."""
    left = iter(range(calls))

    def count(_frame, event, _arg):
        if event == "call" and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)
    sys.setprofile(count)


async def send_all(store, topic, count, calls):
    """Send messages in runs of five that are continued until they end, and relay what is in the outbox meanwhile."""
    ended = {run.id for run in store.runs() if run.state is State.SUCCEEDED}
    async with relaying.Carrier(store, (), print) as carrier:
        if calls:
            kill_after(calls)
        for first in range(0, count, 5):
            if str(first) not in ended:
                async with Run("shop", store=store, id=str(first)):
                    for number in range(first, first + 5):
                        await send(topic, key=f"K{number % 2}", value=number)
        while calls or await asyncio.to_thread(store.relays):  # who is to be killed does not end before
            await carrier.look()
            await asyncio.sleep(0)


def work(place, via, count, calls):
    """Send and relay in a process of its own, which is copied from this one, and return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        store = store_at(place)
        asyncio.run(send_all(store, Topic("SHIPPED", via=via), count, calls))
        store.close()
    except BaseException:  # noqa: BLE001 - of a copy, which must not go on as the first one
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main(place, file, count, seed, kills):
    register_transport("file", lambda address: File(address.partition(":")[2]))
    relaying.AT_ONCE = 3  # many portions
    asyncio.run(send_all(Memory(), Topic("PAID", via="file:/dev/null"), 5, 0))  # imports all that the copies need
    moments = random.Random(int(seed))
    for _ in range(int(kills)):
        print(work(place, f"file:{file}", int(count), moments.randrange(1, CALLS)))
    print(work(place, f"file:{file}", int(count), 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
