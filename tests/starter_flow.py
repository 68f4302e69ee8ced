"""Runs that messages begin, for the tests of starters."""

from dataclasses import dataclass

from aiodag import task
from aiodag.messages import Topic, begin_again


@dataclass
class Parcel:
    name: str
    pieces: int


PARCELS = Topic("STARTER_FLOW_PARCELS", value=Parcel)


@PARCELS.starts
@task
async def ship(parcel: Parcel) -> str:
    return f"{parcel.pieces} x {parcel.name}"


async def countdown(left: int) -> str:
    if left:
        begin_again(left=left - 1)
    return "started"
