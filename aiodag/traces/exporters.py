"""Find the exporters that the variables of OpenTelemetry name, among those that packages have registered."""

import os
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from aiodag._core.failure import exception_line
from aiodag.errors import MissingExtra, OptionError

EXPORTERS = "OTEL_TRACES_EXPORTER"
OTLP = {"grpc": ["otlp_proto_grpc"], "http/protobuf": ["otlp_proto_http"]}  # by the variable for the protocol


def exporters_named() -> list[Any]:
    """Return the exporters that the environment names."""
    named = [each.strip() for each in (os.environ.get(EXPORTERS) or "otlp").split(",")]
    found = [exporter_entry(each) for each in named if each != "none"]
    made: list[Any] = []
    for each in found:
        try:
            made.append(each.load()())
        except Exception as error:
            fault = exception_line(error)
            raise OptionError(
                EXPORTERS, each.name, f"an exporter that can be made as its variables say: {fault}"
            ) from error
    return made


def exporter_entry(name: str) -> EntryPoint:
    """Return where the exporter of a name is. Raises `MissingExtra` for OTLP without a package, and `OptionError`."""
    there = {each.name: each for each in entry_points(group="opentelemetry_traces_exporter")}
    for each in otlp_names() if name == "otlp" else [name]:
        if each in there:
            return there[each]
    if name == "otlp":
        raise MissingExtra("--trace", "opentelemetry-exporter-otlp", "otlp")
    raise OptionError(
        EXPORTERS, name, f"the names of exporters that are installed: {', '.join(sorted(there))}, or none"
    )


def otlp_names() -> Sequence[str]:
    """Return the names of the exporters that speak OTLP in the protocol of the environment, or in any."""
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    return OTLP.get(protocol or "", ["otlp_proto_http", "otlp_proto_grpc"])
