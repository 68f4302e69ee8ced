"""Reach what shows runs and requests to OpenTelemetry, which is loaded when somebody asks for it."""

from typing import Any

from aiodag._core.doors import open_door


def run_traces() -> Any:
    """Return an observer that traces runs to where the environment says. Raises `MissingExtra` and `OptionError`."""
    return open_door("traces").open_traces()


def request_spans() -> Any:
    """Return what traces the requests of a server, to the same place. Raises `MissingExtra` and `OptionError`."""
    return open_door("traces").open_request_spans()
