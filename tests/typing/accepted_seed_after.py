import asyncio
from aiodag import task
import time


@task
async def start_after_x_seconds(x: float) -> None:
    await asyncio.sleep(x)


@task
async def fetch() -> str:
    print(f"Fetched after {time.time() - START_TIME} secs")
    return "data"


@task
async def process(raw_data: str) -> str:
    await asyncio.sleep(1)
    print(f"Processed after {time.time() - START_TIME} secs")
    return "processed_" + raw_data


async def main() -> tuple[str]:
    fetch_wait = start_after_x_seconds(2)
    process_wait = start_after_x_seconds(4)

    f = task(fetch, fetch_wait)()
    p = task(process, process_wait)(f)
    return await asyncio.gather(p)


START_TIME = time.time()
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
