"""Carry a fault from inside a value to the function that knows what the value is for."""


class Refused(Exception):
    """Say which type is at fault, and why."""

    def __init__(self, kind: type, why: str) -> None:
        super().__init__(why)
        self.kind = kind
