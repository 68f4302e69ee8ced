"""The three programs that started it all, unchanged but for the clock: what they print, and when."""

import asyncio
from types import SimpleNamespace

from aiodag import task
from aiodag.testing import run


def clock():
    """Stands for the module `time`: the programs ask it for the seconds of the virtual clock."""
    return SimpleNamespace(time=lambda: asyncio.get_running_loop().time())


def noted(printed):
    """Stands for `print`: notes the text with its moment."""
    return lambda text: printed.append((asyncio.get_running_loop().time(), text))


def etl(print):
    """The tasks of the first program."""

    @task
    async def fetch(some_id):
        sleep_time = {"a1": 1, "a2": 2, "b1": 4, "b2": 0.5, "c1": 6, "c2": 3.5}[some_id]
        await asyncio.sleep(sleep_time)
        ret_val = some_id + "x"
        print(f"Fetched {some_id}")
        return ret_val

    @task
    async def concatenate(pair_item1, pair_item2):
        await asyncio.sleep(1)
        ret_val = pair_item1 + pair_item2
        print(f"Concated {(pair_item1, pair_item2)}")
        return ret_val

    async def strip_numbers(alpha_num_string):
        await asyncio.sleep(1)
        ret_val = "".join(x for x in alpha_num_string if not x.isdigit())
        print(f"Stripped {alpha_num_string}")
        return ret_val

    @task
    async def upload(a_data, b_data, c_data):
        await asyncio.sleep(1)
        print(f"""
        Uploaded data:
        {a_data}
        {b_data}
        {c_data}
    """)

    return fetch, concatenate, strip_numbers, upload


async def pipeline(print):
    fetch, concatenate, strip_numbers, upload = etl(print)

    fa1 = fetch("a1")
    fa2 = fetch("a2")
    fb1 = fetch("b1")
    fb2 = fetch("b2")
    fc1 = fetch("c1")
    fc2 = fetch("c2")

    ca = concatenate(fa1, fa2)
    cb = concatenate(fb1, fb2)
    cc = concatenate(fc1, fc2)

    cab = concatenate(ca, cb)

    sa = task(strip_numbers)(ca)
    sab = task(strip_numbers)(cab)
    sc = task(strip_numbers)(cc)

    upload(sa, sab, sc)

    await asyncio.sleep(10)


PIPELINE = {
    (0.5, "Fetched b2"),
    (1, "Fetched a1"),
    (2, "Fetched a2"),
    (3, "Concated ('a1x', 'a2x')"),
    (3.5, "Fetched c2"),
    (4, "Fetched b1"),
    (4, "Stripped a1xa2x"),
    (5, "Concated ('b1x', 'b2x')"),
    (6, "Fetched c1"),
    (6, "Concated ('a1xa2x', 'b1xb2x')"),
    (7, "Stripped a1xa2xb1xb2x"),
    (7, "Concated ('c1x', 'c2x')"),
    (8, "Stripped c1xc2x"),
    (9, "\n        Uploaded data:\n        axax\n        axaxbxbx\n        cxcx\n    "),
}


def test_pipeline_prints_every_step_in_the_optimal_time():
    printed = []

    run(pipeline(noted(printed)))

    assert set(printed) == PIPELINE
    assert len(printed) == len(PIPELINE)


def test_pipeline_uploads_at_nine_seconds():
    printed = []

    run(pipeline(noted(printed)))

    moment, text = printed[-1]
    assert moment == 9
    assert text.split() == ["Uploaded", "data:", "axax", "axaxbxbx", "cxcx"]


def test_pipeline_prints_in_the_order_of_time():
    printed = []

    run(pipeline(noted(printed)))

    moments = [moment for moment, _ in printed]
    assert moments == sorted(moments)


def test_pipeline_runs_on_a_loop_made_by_hand(capsys):
    from aiodag.testing import VirtualLoop

    loop = VirtualLoop()

    loop.run_until_complete(pipeline(print))
    loop.close()

    assert capsys.readouterr().out.endswith("Uploaded data:\n        axax\n        axaxbxbx\n        cxcx\n    \n")


async def endless(print):
    time = clock()
    fetch, concatenate, _, _ = etl(print)
    start_time = time.time()
    while True:
        if round(time.time() - start_time) % 2 == 0:
            concatenate(fetch("a1"), fetch("a2"))
        else:
            concatenate(fetch("b1"), fetch("b2"))
        if time.time() - start_time > 10:
            break
        await asyncio.sleep(0.5)


def starts():
    """The moments at which the second program adds tasks: `a`s at the even seconds, `b`s at the odd ones."""
    moments = [half / 2 for half in range(22)]
    return [(at, "a" if round(at) % 2 == 0 else "b") for at in moments]


def concats_by(end):
    """What is concatenated before the loop is left: 3 s after the `a`s began, 5 s after the `b`s."""
    ends = [(at + 3, "a") if kind == "a" else (at + 5, "b") for at, kind in starts()]
    return sorted((at, f"Concated ('{kind}1x', '{kind}2x')") for at, kind in ends if at < end)


def test_tasks_added_for_ten_seconds_all_run_beside_each_other():
    printed = []

    run(endless(noted(printed)))

    concated = [(at, text) for at, text in printed if text.startswith("Concated") and at < 10.5]
    assert sorted(concated) == concats_by(10.5)


def exogenous(print, time, start):
    @task
    async def start_after_x_seconds(x):
        await asyncio.sleep(x)

    @task
    async def fetch():
        print(f"Fetched after {time.time() - start} secs")
        return "data"

    @task
    async def process(raw_data):
        await asyncio.sleep(1)
        print(f"Processed after {time.time() - start} secs")
        return "processed_" + raw_data

    return start_after_x_seconds, fetch, process


async def delayed(print):
    time = clock()
    start_after_x_seconds, fetch, process = exogenous(print, time, time.time())
    fetch_wait = start_after_x_seconds(2)
    process_wait = start_after_x_seconds(4)

    f = task(fetch, fetch_wait)()
    p = task(process, process_wait)(f)
    return await asyncio.gather(p)


def test_exogenous_edges_delay_both_tasks_and_pass_nothing():
    printed = []

    result = run(delayed(noted(printed)))

    assert result == ["processed_data"]
    assert printed == [(2, "Fetched after 2.0 secs"), (5, "Processed after 5.0 secs")]
