"""What workers run in tests of parking: each effect is a line appended to a file, in one write."""

import asyncio
import contextvars
import os
import signal
from pathlib import Path

from worker_flow import append

from aiodag import current_run, task
from aiodag.messages import message, send, sleep


@task
async def effect(file: str, name: str, value: object = "") -> str:
    append(file, f"{current_run().id} {name} {value}".rstrip())
    return name


@task
async def order(file: str) -> str:
    """Charge, wait for the payment, ship."""
    append(file, f"{current_run().id} entered")
    await effect(file, "charge")
    payment = await message("PAID", key=current_run().id)
    return await effect(file, "ship", payment)


@task
async def nap(file: str, seconds: float) -> str:
    append(file, f"{current_run().id} entered")
    await sleep(seconds)
    return await effect(file, "woke")


@task
async def steps(file: str) -> int:
    """Wait three times, in bodies inside each other."""
    await inner(file, "FIRST")
    await inner(file, "SECOND")
    return await inner(file, "THIRD")


@task
async def inner(file: str, topic: str) -> int:
    value = await message(topic)
    await effect(file, topic, value)
    return value


@task
async def saga(file: str) -> None:
    """Reserve, charge, wait; undone in reverse when it is cancelled."""
    await effect(file, "reserve")
    try:
        await paid(file)
    except BaseException:
        await effect(file, "release")
        raise


@task
async def paid(file: str) -> None:
    await effect(file, "charge")
    try:
        await message("SHIPPED")
    finally:
        await effect(file, "refund")


@task
async def declined(file: str) -> str:
    """A failure that is caught, before a wait."""
    try:
        await refuse(file)
    except ValueError:
        await effect(file, "refund")
    return await message("PAID")


@task
async def refuse(file: str) -> None:
    append(file, f"{current_run().id} charge")
    raise ValueError("declined")


@task
async def fails_after(file: str, gate: str) -> str:
    """Fail after a wait, until a file is there."""
    value = await message("PAID")
    return await ship(file, gate, value)


@task
async def ship(file: str, gate: str, value: object) -> str:
    append(file, f"{current_run().id} ship")
    with Path(gate).open():
        return f"shipped {value}"


@task(timeout=3600)
async def patient(file: str) -> str:
    """A time limit of a body around its wait."""
    await effect(file, "begins")
    try:
        return await message("PAID")
    except asyncio.CancelledError:
        append(file, f"{current_run().id} told")
        raise


@task
async def impatient(file: str) -> str:
    try:
        return await patient(file)
    except TimeoutError:
        return await effect(file, "late")


@task
async def with_timeout(file: str) -> str:
    async with asyncio.timeout(3600):
        return await message("PAID")


@task
async def with_gather(file: str) -> object:
    return await asyncio.gather(message("PAID"), message("OTHER"))


@task
async def with_helper(file: str) -> str:
    helper = asyncio.create_task(asyncio.Event().wait(), name="keepalive")
    try:
        return await message("PAID")
    finally:
        helper.cancel()


@task
async def with_sleep(file: str) -> object:
    beside = pause()
    await message("PAID")
    return await beside


@task
async def pause() -> None:
    await asyncio.sleep(3600)


@task
async def edges(file: str) -> str:
    """A wait as an edge of a node that has not begun."""
    return await effect(file, "ship", message("PAID"))


@task
async def die_once(file: str, gate: str, name: str) -> None:
    """End this process without a word, the first time."""
    append(file, f"{current_run().id} {name}")
    if not Path(gate).exists():
        Path(gate).touch()
        os.kill(os.getpid(), signal.SIGKILL)


@task
async def fragile_order(file: str, gate: str, point: str) -> str:
    """An order whose process dies at a point, once."""
    await send("COMMAND", key=current_run().id, value={"amount": 5})
    await effect(file, "charge")
    if point == "before":
        await die_once(file, gate, "dies")
    payment = await message("PAID", key=current_run().id)
    if point == "after":
        await die_once(file, gate, "dies")
    return await effect(file, "ship", payment)


@task
async def fragile_saga(file: str, gate: str) -> None:
    """A saga whose process dies while it is undone, once."""
    await effect(file, "charge")
    try:
        await message("SHIPPED")
    except asyncio.CancelledError:
        await effect(file, "refund")
        await die_once(file, gate, "release")
        raise


@task(journal=False)
async def foreign() -> None:
    await asyncio.sleep(3600)


@task
async def with_foreign(file: str) -> None:
    """Await a node that was made outside of the run."""
    outside = contextvars.Context().run(foreign)
    beside = message("PAID")
    await outside
    await beside
