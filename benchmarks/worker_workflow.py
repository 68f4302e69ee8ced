"""Write down one workflow of NODES tasks that do nothing, and run it; print the figures as one JSON line.

worker_workflow.py {wide,chain,barrier,expanded} NODES {-,memory,sqlite,ADDRESS}
worker_workflow.py resumed NODES sqlite   resume what another process has run, of one task with a parameter
worker_workflow.py file NODES -        load and check a file of so many commands, and run none
worker_workflow.py stages NODES -      the same for a file in YAML with jobs of a hundred stages
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiodag import task
from aiodag.stores import Memory
from aiodag.workflows import Parameter, Workflow, load
from benchmarks.results import run_worker
from benchmarks.worker_wide import peak_bytes


@task
async def nothing(value: object = None) -> None:
    """Take no time."""


def wide(nodes: int) -> Workflow:
    """Give tasks that have nothing to do with each other."""
    flow = Workflow("wide")
    for number in range(nodes):
        flow.add(nothing, name=f"task {number}")
    return flow


def chain(nodes: int) -> Workflow:
    """Give tasks of which each takes the value of the one before."""
    flow = Workflow("chain")
    last = flow.add(nothing, name="task 0")
    for number in range(1, nodes):
        last = flow.add(nothing, last, name=f"task {number}")
    return flow


def barrier(nodes: int) -> Workflow:
    """Give one half of the tasks, and another that waits for all of the first."""
    flow = Workflow("barrier", parameters={"NUMBER": range(nodes // 2)})
    flow.add(nothing, Parameter("NUMBER"), name="first") >> flow.add(nothing, Parameter("NUMBER"), name="second")
    return flow


def expanded(nodes: int) -> Workflow:
    """Give one task with a parameter of so many values."""
    flow = Workflow("expanded", parameters={"NUMBER": range(nodes)})
    flow.add(nothing, Parameter("NUMBER"))
    return flow


SHAPES = {"wide": wide, "chain": chain, "barrier": barrier, "expanded": expanded}


STAGES = 100  # of a job


def write_commands(path: Path, nodes: int) -> None:
    """Write a file of commands in JSON, piece by piece: what writing it takes is not the peak."""
    with path.open("w") as file:
        file.write('{"tasks": {')
        for number in range(nodes):
            file.write(f'{", " * (number > 0)}"task {number}": {{"command": ["echo", "-n", "file-{number}"]}}')
        file.write("}}")


def write_stages(path: Path, nodes: int) -> None:
    """Write a file of jobs in YAML."""
    with path.open("w") as file:
        file.write("params: {day: date}\njobs:\n")
        for number in range(nodes):
            file.write(f"  job-{number // STAGES}:\n    stages:\n" * (number % STAGES == 0))
            file.write(f"      - name: Stage {number}\n        id: stage-{number}\n")
            file.write(f"        bash: echo -n ${{{{ params.day }}}} {number}\n        env: {{NUMBER: {number}}}\n")


FILES = {"file": ("commands.json", write_commands), "stages": ("jobs.yaml", write_stages)}


def measure_file(kind: str, nodes: int, directory: str) -> dict[str, float]:
    """Give the seconds to load a file, which checks it, and the peak memory."""
    name, write = FILES[kind]
    path = Path(directory, name)
    write(path, nodes)
    before, began = peak_bytes(), time.perf_counter()
    flow = load(path)
    seconds = time.perf_counter() - began
    assert len(flow) == nodes // (STAGES if kind == "stages" else 1)
    figures = {"nodes": nodes, "edges": 0, "write": seconds, "check": 0.0, "graph": 0.0, "run": 0.0, "total": seconds}
    figures["cpu"] = 0.0
    return {**figures, "peak_bytes": peak_bytes(), "grown_bytes": peak_bytes() - before}


async def measure(shape: str, nodes: int, store: Any) -> dict[str, float]:
    """Give the seconds to write it down, check it, draw it and run it, and the peak memory."""
    await SHAPES[shape](100).run()
    before = peak_bytes()
    moments = [time.perf_counter()]
    flow = SHAPES[shape](nodes)
    moments.append(time.perf_counter())
    flow.check()
    moments.append(time.perf_counter())
    cpu = time.process_time()
    values = await flow.run(store, None if store is None else "r")
    cpu = time.process_time() - cpu
    moments.append(time.perf_counter())
    peak = peak_bytes()
    assert values.run.state == "succeeded"
    del values
    drawn = time.perf_counter()
    edges = len(flow.graph().edges)
    write, check, run = (end - start for start, end in pairwise(moments))
    return {
        "nodes": nodes,
        "edges": edges,
        "write": write,
        "check": check,
        "run": run,
        "cpu": cpu,
        "total": write + check + run,
        "graph": time.perf_counter() - drawn,
        "peak_bytes": peak,
        "grown_bytes": peak - before,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        if sys.argv[1] in FILES:
            print(json.dumps(measure_file(sys.argv[1], int(sys.argv[2]), directory)))
            sys.exit()
        shape, nodes, given = sys.argv[1:]
        place: Any = {"-": None, "memory": Memory(), "sqlite": f"{directory}/runs.db"}.get(given, given)
        if shape == "resumed":
            shape = "expanded"
            run_worker("worker_workflow.py", shape, nodes, place)
        print(json.dumps(asyncio.run(measure(shape, int(nodes), place))))
