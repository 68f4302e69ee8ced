"""A run that waits for what is overdue at once, for the tests of that."""

from family_flow import note

from aiodag import task
from aiodag.messages import message, overdue


async def order(file: str) -> list[object]:
    @task(name="alert")
    async def alert() -> None:
        note(file, "late")

    paid = message("OVERDUE_PAID")
    late = overdue(paid, after=0.01, call=alert)
    return [await paid, await late]
