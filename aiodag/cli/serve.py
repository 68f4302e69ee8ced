"""Serve the page and the API until somebody stops the server."""

import asyncio
from argparse import Namespace
from typing import Any

from aiodag.cli.answers import print_remark
from aiodag.cli.opening import serving
from aiodag.cli.workers import speaker, stopping
from aiodag.service.serve_options import SERVE_KEYS, page_server, serve_options


def serve_store(args: Namespace) -> int:
    """Serve until somebody stops this process, and return the exit code."""
    typed = {name: value for name in SERVE_KEYS if (value := getattr(args, name)) is not None}
    options = serve_options(typed)
    with serving(args) as service:
        service.runs(limit=1)  # which raises what is wrong with the store
        server = page_server(service, options)
        if options.is_exposed and options.certificate is None:
            print_remark(
                args, "without --certificate or a proxy that has one, others on the network can read the tokens"
            )
        asyncio.run(serve_page(server, args))
    return 0


async def serve_page(server: Any, args: Namespace) -> None:
    """Serve until signals stop it."""
    with stopping(server.stop):
        await server.run(speaker(args))
