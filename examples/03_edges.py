"""Wait for a value, or only for the moment.

`f` is passed to `process`: an endogenous edge, its value arrives. `fetch_wait` and `process_wait` are only waited
for: exogenous edges, made by wrapping the task once more at the call. So fetch starts after 2 seconds, and process
after 4, and ends after 5.
"""

import asyncio
from aiodag import task
import time


@task
async def start_after_x_seconds(x):
    await asyncio.sleep(x)


@task
async def fetch():
    print(f"Fetched after {time.time() - START_TIME} secs")
    return "data"


@task
async def process(raw_data):
    await asyncio.sleep(1)
    print(f"Processed after {time.time() - START_TIME} secs")
    return "processed_" + raw_data


async def main():
    fetch_wait = start_after_x_seconds(2)
    process_wait = start_after_x_seconds(4)

    f = task(fetch, fetch_wait)()
    p = task(process, process_wait)(f)
    return await asyncio.gather(p)


START_TIME = time.time()
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
