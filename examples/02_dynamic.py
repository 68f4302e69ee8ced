"""Make new nodes at any time while the loop runs.

Here a pair is fetched and concatenated every half second, for ten seconds; what has not ended by then is dropped
with the loop.
"""

import asyncio
from aiodag import task


@task
async def fetch(some_id):
    # sleep times here are solely to make the async behavior obvious from the printout order
    sleep_time = {"a1": 1, "a2": 2, "b1": 4, "b2": 0.5, "c1": 6, "c2": 3.5}[some_id]
    await asyncio.sleep(sleep_time)
    ret_val = some_id + "x"
    print(f"Fetched {some_id}")
    return ret_val


@task
async def concatenate(pair_item1, pair_item2):
    """
    Imagine this function sends the pair of items to a third-party
    service to do the concatenation, hence the need for async.
    """
    await asyncio.sleep(1)
    ret_val = pair_item1 + pair_item2
    print(f"Concated {(pair_item1, pair_item2)}")
    return ret_val


import time


async def main():
    start_time = time.time()
    while True:
        if round(time.time() - start_time) % 2 == 0:
            concatenate(fetch("a1"), fetch("a2"))
        else:
            concatenate(fetch("b1"), fetch("b2"))
        if time.time() - start_time > 10:
            break
        await asyncio.sleep(0.5)


loop = asyncio.new_event_loop()
loop.run_until_complete(main())
