"""A human approval: an answer, a reminder for whoever is late, and an end to the waiting.

Days cost nothing here. In earnest the run is parked meanwhile, and the answer comes from a web page or a shell:

    aiodag submit 14_approval.py:approval -p request=R1
    aiodag worker &
    aiodag send ANSWER --key R1 --payload '{"by": "Ada", "approved": true}'

Output:

R1 after 0 days: Ada says yes
R2 is waiting for an answer
R2 after 3 days: Ada says no
R3 is waiting for an answer
R3 after 7 days: nobody has answered
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from aiodag import task
from aiodag.messages import Topic, message, overdue
from aiodag.testing import deliver, run

DAY = timedelta(days=1).total_seconds()


@dataclass
class Answer:
    by: str
    approved: bool


ANSWER = Topic("ANSWER", value=Answer)


@task
async def remind(request):
    print(request, "is waiting for an answer")


@task
async def approval(request: str):
    answer = message(ANSWER, key=request, timeout=7 * DAY)
    overdue(answer, after=DAY, call=partial(remind, request))
    try:
        given = await answer
    except TimeoutError:
        return "nobody has answered"
    return f"{given.by} says {'yes' if given.approved else 'no'}"


# The world


async def answered(request, days, approved):
    began = asyncio.get_running_loop().time()
    outcome = approval(request)
    if days is not None:
        await asyncio.sleep(days * DAY)
        deliver(ANSWER, request, {"by": "Ada", "approved": approved})
    told = await outcome
    print(f"{request} after {(asyncio.get_running_loop().time() - began) / DAY:.0f} days: {told}")


async def main():
    await answered("R1", 0, True)
    await answered("R2", 3, False)
    await answered("R3", None, None)


if __name__ == "__main__":
    run(main())
