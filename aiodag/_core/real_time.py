"""Count what takes real time, such as a thread, a process or a commit: while it goes on, a virtual clock stands still."""


class RealTime:
    """A count of what goes on outside of the loop: `with engine.real_time: await ...`."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def begin(self) -> None:
        """Note that something begins."""
        self.count += 1

    def end(self) -> None:
        """Note that it has ended."""
        self.count -= 1

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1
