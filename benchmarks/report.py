"""Write docs/speed.md from the results of the last measurement."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import report_clusters, report_queues, report_schedules, report_server, report_waiting
from benchmarks.results import ROOT, load

PAGE = ROOT / "docs" / "speed.md"
MIB = 2**20
HEAD = """\
# Speed

Written by `make bench` (`python -m benchmarks`); the figures are of one machine and one day, so compare ratios, not
times. Nothing here is asserted by a test.

"""


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Give a Markdown table; all columns but the first are numbers."""
    names = list(head)
    lines = [names, [":--", *["--:"] * (len(names) - 1)], *[[str(cell) for cell in row] for row in rows]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def processor() -> str:
    """Name the processor model, as far as the system tells."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def machine(overheads: list[dict[str, Any]]) -> str:
    """Describe where this was measured."""
    pythons = ", ".join(result["python"] for result in overheads)
    return f"Machine: {processor()}, {os.cpu_count()} cores, {platform.system()}. CPython {pythons}.\n\n"


def times(cell: dict[str, Any]) -> str:
    """Give one median with its range."""
    low, high = cell["range_us"]
    return f"{cell['median_us']:.2f} ({low:.2f} to {high:.2f})"


def overhead_rows(result: dict[str, Any]) -> Iterable[list[str]]:
    """Give a row per shape, and the geometric mean below."""
    cells: dict[str, Any] = {}
    for shape, cells in result["shapes"].items():
        ratios = [f"{cells[name]['ratio']:.2f}" for name in ("aiodag", "in a Run")]
        yield [shape, *map(times, cells.values()), *ratios]
    means = [f"**{result['mean'][name]:.2f}**" for name in ("aiodag", "in a Run")]
    yield ["**geometric mean**", *[""] * len(cells), *means]


def overhead(results: list[dict[str, Any]]) -> Iterable[str]:
    """Report the time per node, compared with code written by hand."""
    yield "## Per node, compared with `create_task` and `await` by hand\n\n"
    yield (
        "The same graph and the same bodies, written four ways: by hand, where each body awaits what it needs; by hand "
        "with the very bodies that aiodag runs, which get values; with aiodag; and with aiodag inside a `Run`, which records. "
        "Microseconds of CPU per node, bodies included: median (range). One process; the four take turns.\n\n"
    )
    head = ("shape", "by hand", "same bodies by hand", "aiodag", "in a `Run`", "aiodag ÷ hand", "`Run` ÷ hand")
    for result in results:
        yield f"CPython {result['python']}, {result['nodes']:,} nodes, {result['repeats']} repeats:\n\n"
        yield table(head, overhead_rows(result))


def neighbour_row(row: dict[str, Any], ours: float) -> list[str]:
    """Give the row of one neighbour."""
    if "error" in row:
        return [row["name"], "-", "could not run", "-"]
    return [row["name"], row["version"], f"{row['us']:,.1f}", f"{row['us'] / ours:,.1f}"]


def by_hand_row(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give what the same graph costs by hand, as the worker of aiodag measured it next to its own."""
    found = [row["by_hand_us"] for row in rows if row.get("by_hand_us")][:1]
    return [{"name": "asyncio, by hand", "version": "-", "us": us} for us in found]


def neighbours(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell what the same graph costs elsewhere."""
    for result in results:
        yield "## Compared with others\n\n"
        yield (
            f"A layered graph of {result['nodes']:,} nodes that do nothing (50 wide, three random upstreams each), "
            f"CPython {result['python']}, each library in a process and an environment of its own, its start not "
            "counted. They do other things with that time: Dask's distributed scheduler and Prefect's server serve "
            "many machines and keep a history.\n\n"
        )
        ours = next((row["us"] for row in result["rows"] if row["name"] == "aiodag" and "us" in row), float("nan"))
        rows = [neighbour_row(row, ours) for row in [*by_hand_row(result["rows"]), *result["rows"]]]
        yield table(("library", "version", "µs per node", "÷ aiodag"), rows)


def memory(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell the bytes of a waiting node, and how a wide graph grows."""
    for result in results:
        yield "## Memory\n\n"
        yield (
            f"Bytes per waiting node all told, counted exactly by `tracemalloc` over {result['nodes']:,} nodes: "
            "behind one upstream (wide), or each behind the one before (chain).\n\n"
        )
        rows = [[name, *(f"{value:.0f}" for value in row.values())] for name, row in result["waiting"].items()]
        yield table(("", "wide", "chain"), rows)
        yield "Fan-out and fan-in, each size in a process of its own; seconds of CPU:\n\n"
        yield table(("leaves", "by hand", "", "aiodag", ""), growth_rows(result["growth"]))
        yield COLLECTOR


COLLECTOR = """\
What grows faster than the number of nodes is the garbage collector, which looks at everything that is alive again and
again; by hand it is the same. A program that keeps very many nodes at once can tell it to look less often, before it
makes them:

```python
import gc

gc.set_threshold(50_000, 20, 100)
```

Microseconds of CPU per node, 300,000 leaves, two rounds:

| | Python's own thresholds | `50_000, 20, 100` |
| :-- | --: | --: |
| by hand, 3.11 | 9.2, 8.9 | 5.4, 5.7 |
| aiodag, 3.11 | 8.8, 9.4 | 6.5, 6.2 |
| by hand, 3.13 | 8.0, 7.9 | 6.9, 5.8 |
| aiodag, 3.13 | 8.1, 9.3 | 7.1, 5.3 |

"""


def growth_rows(growth: dict[str, list[dict[str, float]]]) -> Iterable[list[str]]:
    """Give a row per size: seconds and peak memory, by hand and with aiodag."""
    for rows in zip(*growth.values(), strict=True):
        cells = [text for row in rows for text in (f"{row['seconds']:.2f} s", f"{row['peak_bytes'] / MIB:,.0f} MiB")]
        yield [f"{rows[0]['nodes']:,}", *cells]


def rate(cell: dict[str, Any]) -> str:
    """Give one median of rates with its range."""
    low, high = cell["range"]
    return f"{cell['median']:,.0f} ({low:,.0f} to {high:,.0f})"


def journal(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell what a run with a store costs, how fast it is taken up again, and how it grows."""
    for result in results:
        yield "## Durable runs\n\n"
        yield (
            f"Nodes that do nothing, in a run with a store: a SQLite file in a temporary directory, "
            f"`synchronous=NORMAL`, SQLite {result['sqlite']}, CPython {result['python']}; opening and closing the run "
            f"included. {result['rounds']} rounds, the ways taking turns: median (range).\n\n"
        )
        yield from journaled(result)
        yield from grown(result["growth"])
        yield from slept(result)
        yield from durable(result)


def runs(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell how many runs go on at once in one process."""
    for result in results:
        yield (
            f"## Many runs in one process\n\n{result['runs']:,} runs at once, each five tasks in a chain that sleep 10 ms, in one "
            f"SQLite file, CPython {result['python']}. The median of some rounds, which take turns. A pause is how long the loop "
            "stood still. The one in which the program makes all runs, in one turn of the loop, stands apart, and so does the "
            "longest of the garbage collector, which is one of the others. Aimed at: 1,000 runs a second, and no pause for the "
            "store beyond 50 ms.\n\n"
        )
        rows = [
            [
                name,
                f"{row['runs_per_second']:,.0f}",
                f"{row['cpu_per_run'] * 1e6:,.0f} µs",
                str(row["threads"]),
                f"{row['making'] * 1000:.0f} ms",
                ", ".join(f"{pause * 1000:.0f}" for pause in row["longest_pauses"]) + " ms",
                f"{row['longest_collection'] * 1000:.0f} ms",
            ]
            for name, row in (("without a store", result["no_store"]), ("SQLite", result["sqlite"]))
        ]
        headings = (
            "",
            "runs/s",
            "CPU of a run",
            "threads",
            "making all runs",
            "longest pauses after",
            "of the collector",
        )
        yield table(headings, rows)
        sizes = ", ".join(f"{size / MIB:,.0f}" for size in result["follow"]["resident_bytes"])
        left = ", ".join([*result["follow"]["threads"], *result["follow"]["open_files"]])
        yield (
            f"Others one after the other, 100 at a time: {result['follow']['runs_per_second']:,.0f} runs/s; resident memory at "
            f"each tenth of them: {sizes} MiB. Threads and files that stay open after them: {left or 'none'}.\n\n"
        )


def queues(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell what queues do on both stores, next to DBOS."""
    for result in results:
        yield report_queues.introduction(result)
        yield table(report_queues.HEADINGS, report_queues.throughput_rows(result))
        yield "From submitting a run to its first body, on a worker that has nothing else to do:\n\n"
        yield table(report_queues.HEADINGS_OF_WAITS, report_queues.wait_rows(result))


def waiting(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell what orders do that wait for a message, next to DBOS and Temporal."""
    for result in results:
        yield report_waiting.introduction(result)
        yield table(report_waiting.HEADINGS, report_waiting.rows(result))
    for result in load("messages_many.json"):
        yield report_waiting.many(result)
        yield table(report_waiting.MANY, report_waiting.many_rows(result))


def schedules(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell what very many schedules take, and how late they are."""
    for result in results:
        yield "## Schedules\n\n"
        yield report_schedules.introduction(result)
        yield table(report_schedules.HEADINGS, report_schedules.rows(result))


def server(results: list[dict[str, Any]]) -> Iterable[str]:
    """Give the section on the server, if it was measured."""
    for result in results:
        yield report_server.introduction(result)
        yield table(report_server.HEADINGS, report_server.rows(result))
        yield "\n"
        yield table(report_server.READ, report_server.read_rows(result))


def clusters(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell what calls on a cluster take."""
    if results:
        yield "## Clusters\n\n"
        yield report_clusters.introduction(results[0])
        yield table(report_clusters.HEADINGS, [row for result in results for row in report_clusters.rows(result)])


def journaled(result: dict[str, Any]) -> Iterable[str]:
    """Tell the nodes per second, and what a recalled node holds."""
    yield (
        f"Nodes per second, {result['nodes']:,} nodes, each run in a process of its own. Wide: none waits for another. "
        "Chain: each waits for the one before, and for its commit. Aimed at: wide 20,000 written, chain 2,000 written, "
        "50,000 recalled.\n\n"
    )
    rows = [[shape, *(rate(cell) for cell in ways.values())] for shape, ways in result["throughput"].items()]
    yield table(("", "without a store", "written", "recalled by the next process"), rows)
    yield (
        "Bytes per node beyond its value at the worst moment of a run, counted by `tracemalloc`: all nodes made at once "
        f"and held to the end (wide), or {result['wave']:,} at a time (waves). Aimed at: 1,500 for a recalled node.\n\n"
    )
    rows = [[shape, *(f"{size:,.0f}" for size in cells.values())] for shape, cells in result["weighed"].items()]
    yield table(("", "without a store", "recalled, value None", "recalled, value of 1,000 letters"), rows)


def grown(growth: dict[str, list[dict[str, float]]]) -> Iterable[str]:
    """Tell how one run grows."""
    yield "One run written to its store, nodes made at once or in waves, each size in a process of its own:\n\n"
    rows = [
        [
            f"{row['nodes']:,} nodes, {shape}",
            f"{row['seconds']:.2f} s",
            f"{row['seconds'] / row['nodes'] * 1e6:.1f}",
            f"{row['peak_bytes'] / MIB:,.0f} MiB",
            f"{row['file_bytes'] / MIB:,.0f} MiB",
        ]
        for shape, rows in growth.items()
        for row in rows
    ]
    yield table(("", "time", "µs per node", "peak memory", "file"), rows)


def slept(result: dict[str, Any]) -> Iterable[str]:
    """Tell what a store costs where bodies take time."""
    yield "A layered graph of 1,000 nodes (20 layers of 50) whose bodies sleep, milliseconds for the whole run:\n\n"
    rows = [
        [
            f"{row['nap'] * 1e3:.0f} ms",
            *(f"{row[way]['median'] * 1e3:,.0f}" for way in ("no store", "store")),
            f"{row['ratio']:.2f}",
        ]
        for row in result["sleeping"]
    ]
    yield table(("each body sleeps", "without a store", "with a store", "ratio"), rows)


def durable(result: dict[str, Any]) -> Iterable[str]:
    """Tell how many durable calls a second others make."""
    if not result["durable"]:
        return
    yield (
        f"Durable calls per second: {result['calls']:,} calls that do nothing, one awaited after the other, or all "
        "gathered. By hand is one `INSERT` and one commit per call in a thread, and no more. DBOS makes its steps "
        "durable for workflows that other processes recover, and says that its SQLite is for development; aiodag "
        "commits together what is ready together.\n\n"
    )
    yield table(("", "version", "sequential", "gathered"), map(durable_row, result["durable"]))


def durable_row(row: dict[str, Any]) -> list[str]:
    """Give the row of one who makes calls durable."""
    if "error" in row:
        return [row["name"], "-", "could not run", "-"]
    return [row["name"], row["version"], rate(row["sequential"]), rate(row["gathered"])]


def commands(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell how many programs a second are run."""
    for result in results:
        yield "## Commands\n\n"
        yield (
            f"Programs per second: {result['number']:,} times `true`, its output read, CPython {result['python']}: median "
            "(range). A shell runs them one after the other, and is what the machine takes for them. The pause is how long "
            "the loop did nothing else: of 100 looks at it, the second longest. Aimed at: 1,000 a second.\n\n"
        )
        rows = [
            [
                f"{row['way']}, {row['at_once']} at once",
                rate(row["rate"]),
                f"{row['pause']['median'] * 1e3:.1f} ms" if "pause" in row else "-",
            ]
            for row in result["rows"]
        ]
        yield table(("", "programs per second", "pause of the loop"), rows)


def workflows(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell what large workflows take."""
    for result in results:
        yield "## Workflows\n\n"
        yield (
            f"Tasks that do nothing, each with a name of its own, CPython {result['python']}: seconds to write them down, to "
            "check them, to draw the graph, and to run them, also in seconds of CPU in all threads; and the peak memory of the "
            "whole. `wide` has no edges, in `chain` each takes the value of the one before, in `barrier` one half waits for all "
            "of the other. `expanded` is one task with a parameter, and `resumed` the same when another process has run it "
            "before: all of its values are taken back. `file` is a JSON file of commands that is loaded and checked, and not "
            "run; `stages` is a YAML file of jobs with 100 stages each. `python -m benchmarks.workflows` measures them.\n\n"
        )
        rows = [
            [
                f"{row['shape']}, {row['nodes']:,} nodes" + ("" if row["store"] == "-" else f", in {row['store']}"),
                f"{row['edges']:,}",
                *(f"{row[name]:.2f} s" for name in ("write", "check", "graph", "run", "cpu")),
                f"{row['peak_bytes'] / MIB:,.0f} MiB",
            ]
            for row in result["rows"]
        ]
        yield table(("", "edges", "write", "check", "draw", "run", "CPU of run", "peak memory"), rows)


def imports(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell what importing costs."""
    if not results:
        return
    yield "## Import\n\n`import aiodag` on top of `import asyncio`, a fresh process each:\n\n"
    rows = [[one["python"], f"{one['median_ms']:.1f}", one["repeats"]] for one in results]
    yield table(("CPython", "median ms", "repeats"), rows)


def promises(results: list[dict[str, Any]]) -> Iterable[str]:
    """Tell what the parts of a node's time are."""
    for result in results:
        yield f"## What the promises cost\n\nEach alone, in nanoseconds, CPython {result['python']}:\n\n"
        yield table(("what", "ns"), [[name, f"{value:.0f}"] for name, value in result["ns"].items()])


def page() -> str:
    """Give the whole page."""
    overheads = load("overhead-*.json")
    return (
        HEAD
        + machine(overheads)
        + "".join(
            part
            for section, results in (
                (overhead, overheads),
                (neighbours, load("neighbours.json")),
                (memory, load("memory.json")),
                (journal, load("journal.json")),
                (runs, load("runs.json")),
                (queues, load("queues.json")),
                (waiting, load("waiting.json")),
                (schedules, load("schedules_many.json")),
                (server, load("server.json")),
                (commands, load("commands.json")),
                (clusters, load("clusters*.json")),
                (workflows, load("workflows.json")),
                (imports, load("imports-*.json")),
                (promises, load("promises.json")),
            )
            for part in section(results)
        )
    )


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page().rstrip() + "\n")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
