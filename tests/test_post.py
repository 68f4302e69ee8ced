"""What goes between the loops and the keeper of a store: in portions, and first what somebody waits for."""

import asyncio

from aiodag.records import Batch
from aiodag.stores.post import EACH, PORTION, LoopPost, RunWriter


class Told:
    """A run that has something to tell, and hears when that is written."""

    def __init__(self, name, error=None):
        self.name, self.error, self.heard = name, error, []

    def next_batch(self):
        if self.error is not None:
            raise self.error
        return Batch(error=self.name)

    def hear_commit(self, error):
        self.heard.append(error)


def portions(asked, count):
    """Give the first portions of what is asked for: names of runs, and None for those that are to be claimed."""

    async def main():
        post = LoopPost(asyncio.get_running_loop(), works.append)
        asked(post)
        for _ in range(count):
            before = len(works)
            while len(works) == before:
                await asyncio.sleep(0)
            post.add(post.free)
            post.send()
        return [[None if batch is None else batch.error for _, batch in portion] for portion in works]

    works = []
    return asyncio.run(main())


def writers(post, name, count):
    return [RunWriter(Told(f"{name} {number}"), post, None) for number in range(count)]


def test_what_somebody_waits_for_goes_before_runs_that_begin_and_these_before_what_only_tells():
    def asked(post):
        for writer in writers(post, "tells", 3):
            post.ask(writer, waited=False)
        for writer in writers(post, "begins", 2):
            post.claim(writer)
        for writer in writers(post, "waits", PORTION + 1):
            post.ask(writer, waited=True)

    first, second, third = portions(asked, 3)

    assert first == [f"waits {number}" for number in range(PORTION)]
    assert second == [f"waits {PORTION}", None, None]
    assert third == ["tells 0", "tells 1", "tells 2"]


def test_what_only_tells_has_its_turn_however_much_there_is_that_somebody_waits_for():
    def asked(post):
        for writer in writers(post, "tells", 2):
            post.ask(writer, waited=False)
        post.claim(*writers(post, "begins", 1))
        for writer in writers(post, "waits", (EACH + 1) * PORTION):
            post.ask(writer, waited=True)

    found = portions(asked, EACH)

    assert [portion[:3] for portion in found[:-1]] == [
        [f"waits {start + number}" for number in range(3)] for start in range(0, (EACH - 1) * PORTION, PORTION)
    ]
    assert found[-1][:4] == [None, "tells 0", "tells 1", f"waits {(EACH - 1) * PORTION}"]


def test_a_run_for_which_somebody_begins_to_wait_is_written_with_the_others_that_are_waited_for_and_once():
    def asked(post):
        one, other = writers(post, "tells", 2)
        for writer in (one, other):
            post.ask(writer, waited=False)
        for writer in writers(post, "waits", 1):
            post.ask(writer, waited=True)
        post.ask(other, waited=True)

    assert portions(asked, 2) == [["waits 0", "tells 1"], ["tells 0"]]


def test_a_run_that_nobody_wants_any_more_is_not_claimed():
    def asked(post):
        one, other = writers(post, "begins", 2)
        for writer in (one, other):
            post.claim(writer)
        one.given_up = True

    assert portions(asked, 1) == [[None]]


def test_a_batch_that_cannot_be_made_is_told_to_its_run_and_keeps_no_other_from_being_written():
    fault = ValueError("no such value")
    told = Told("bad", fault)

    def asked(post):
        post.ask(RunWriter(told, post, None), waited=True)
        for writer in writers(post, "waits", 1):
            post.ask(writer, waited=True)

    assert portions(asked, 1) == [["waits 0"]]
    assert told.heard == [fault]


def test_news_that_comes_while_a_loop_hears_other_news_is_heard_too():
    async def main():
        def hear(number):
            heard.append(number)
            if number < 3:
                post.add(hear, number + 1)
                post.send()
            else:
                done.set()

        heard, done = [], asyncio.Event()
        post = LoopPost(asyncio.get_running_loop(), lambda works: None)
        post.add(hear, 0)
        post.send()
        await done.wait()
        return heard

    assert asyncio.run(main()) == [0, 1, 2, 3]
