"""Calls that are wrong. Each line marked E is reported by each checker, and no other line is."""

from aiodag import Node, Task, opaque, settled, task, value_of


@task
async def number(text: str) -> int:
    return int(text)


@task
async def scale(x: int, factor: float = 1.0, *, label: str = "") -> float:
    return x * factor


@task
def plain(x: int) -> str:
    return str(x)


@task
async def eight(a: int, b: str, c: float, d: bytes, e: bool, f: int, g: str, h: list[int], *, key: int = 0) -> int:
    return a


async def undecorated(x: int) -> str:
    return str(x)


@task
async def report(node: Node[int]) -> str:
    return node.name


class Api:
    @task
    async def get(self, x: int, y: str = "") -> str:
        return y * x

    @task
    @staticmethod
    async def fixed(x: int) -> str:
        return str(x)

    @task
    @classmethod
    async def made(cls, x: int) -> str:
        return str(x)


async def wrong_types() -> None:
    n = number("1")
    s = plain(n)
    number(1)  # E
    number(n)  # E
    plain(s)  # E
    scale(n, s)  # E
    scale(s, 1.0)  # E
    scale(1, "2")  # E
    scale(n, label=1)  # E
    scale(n, label=value_of(n))  # E
    scale(x=n)  # E
    scale(1, factor=n)  # E
    plain([n])  # E
    eight(n, s, 1.0, b"", True, n, s, n)  # E
    eight(n, s, 1.0, b"", True, n, n, [1])  # E
    eight(n, n, 1.0, b"", True, n, s, [1])  # E
    eight(n, s, 1.0, b"", True, n, s, [n])  # E
    eight(n, s, 1.0, b"", True, n, s, [1], key="")  # E
    report(1)  # E
    report(settled(s))  # E


async def wrong_counts_and_names() -> None:
    n = number("1")
    number()  # E
    number("1", "2")  # E
    plain(n, n)  # E
    scale(n, 1.0, "label")  # E
    scale(n, labels="")  # E
    scale(n, x=1)  # E
    eight(n, "", 1.0, b"", True, n, "")  # E
    print(number.nothing)  # E


async def wrong_methods(api: Api) -> None:
    n = number("1")
    s = plain(n)
    api.get(s)  # E
    api.get(n, n)  # E
    api.get()  # E
    api.get(n, z=1)  # E
    Api.get(n)  # E
    api.fixed(s)  # E
    Api.fixed(s)  # E
    api.made(s)  # E
    Api.made(s, s)  # E


async def wrong_wrapping() -> None:
    n = number("1")
    s = plain(n)
    task(undecorated)(s)  # E
    task(undecorated, 3)  # E
    task(undecorated, n, retries="3")  # E
    task(undecorated, retry=3)  # E
    task(undecorated, n, limit=3)(n, n)  # E
    task(name=3)  # E
    task(retires=3)  # E
    task(3)  # E
    task(executor=3)  # E
    task(middleware=undecorated)  # E
    task(middleware=[undecorated])  # E
    plain.after(3)  # E
    plain.after(n)(s)  # E
    plain.with_options(retires=3)  # E
    plain.with_options(retries=3)(s)  # E


async def wrong_maps() -> None:
    n = number("1")
    plain.map(["1"])  # E
    plain.map([number])  # E
    plain.map(3)  # E
    plain.map([n], [n])  # E
    plain.map([n], y=1)  # E
    scale.map([n], ["a"])  # E
    scale.map([n], label=1)  # E
    number.map()  # E


async def wrong_results() -> None:
    n = number("1")
    _a: str = await n  # E
    _b: Node[str] = n  # E
    _c: str = value_of(n)  # E
    _d: list[Node[int]] = plain.map([n])  # E
    _e: Task[[int], int] = plain  # E
    _f: str = opaque(1)  # E
    _g: int = n  # E
    value_of(1)  # E
    settled(1)  # E
