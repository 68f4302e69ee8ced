"""Capacities and requests that are wrong. Each line marked E is reported by each checker, and no other line is."""

from aiodag import Capacity, Run, task


async def body() -> int:
    return 1


Capacity({"cores": "8"})  # E
Capacity(8)  # E
Capacity({"cores": 8}, 5)  # E
Capacity(limit="5")  # E
Capacity(places={"cores": 8})  # E
Run(capacity={"cores": 8})  # E
task(body, resources={"cores": "2"})  # E
task(body, resources=["cores"])  # E
task(body, resources=2)  # E
