"""What schedules begin in tests."""

from pathlib import Path


async def main(day: str = "none", ledger: str = "") -> str:
    """Add the day to a ledger, if there is one."""
    if ledger:
        with Path(ledger).open("a") as file:
            file.write(f"{day}\n")
    return day
