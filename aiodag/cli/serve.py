"""Serve the page and the API until somebody stops the server; or say what would hinder it."""

import asyncio
import os
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

from aiodag.cli import output
from aiodag.cli.answers import print_remark, say
from aiodag.cli.embedded import EmbeddedWorker
from aiodag.cli.opening import serving_store
from aiodag.cli.workers import speaker, stopping, traces_wanted, usual_store
from aiodag.errors import AiodagError, SettingsError
from aiodag.service import Service
from aiodag.service.serve_options import SERVE_KEYS, ServeOptions, page_server, refuse_exposed, serve_options
from aiodag.service.settings import settings
from aiodag.service.tracing import request_spans

UNFIT = 2  # the exit code of --check
LAST_SPANS = 0.5  # seconds to send what is traced, when the server has ended
LAST_THREADS = 0.3  # seconds for threads that wait for the store, when the server has ended


def serve_store(args: Namespace) -> int:
    """Serve until somebody stops this process, and return the exit code."""
    if args.check:
        return check_server(args)
    options = serve_options(typed_keys(args))
    with serving_store(args, "a server") as service:
        look_first(service, options)
        spans = spans_of(args)
        server = page_server(service, options, spans)
        worker = embedded_worker(args, service, options) if options.worker else None
        server.listen()
        if options.is_exposed and options.certificate is None:
            print_remark(
                args, "without --certificate or a proxy that has one, others on the network can read the tokens"
            )
        asyncio.run(serve_page(server, worker, speaker(args)))
        if spans is not None:
            spans.flush(LAST_SPANS)
        leave_hanging_threads()
    return 0


def spans_of(args: Namespace) -> Any:
    """Return what traces requests, or None. Raises `MissingExtra` and `OptionError`."""
    return request_spans() if traces_wanted(args) else None


def embedded_worker(args: Namespace, service: Service, options: ServeOptions) -> EmbeddedWorker:
    """Return the worker that the server starts."""
    store = args.store or usual_store(service)
    return EmbeddedWorker(store, options, speaker(args), traces=traces_wanted(args))


def typed_keys(args: Namespace) -> dict[str, object]:
    """Return the options that were typed, by their keys."""
    return {name: value for name in SERVE_KEYS if (value := getattr(args, name)) is not None}


def look_first(service: Service, options: ServeOptions) -> None:
    """Raise what is wrong with the store, or with who would be let in."""
    service.runs(limit=1)
    refuse_exposed(service, options)


async def serve_page(server: Any, worker: EmbeddedWorker | None, speak: Callable[[str], object]) -> None:
    """Serve until signals stop it, with its worker."""
    works: list[asyncio.Task[None]] = [asyncio.create_task(worker.keep())] if worker else []

    def stop() -> None:
        server.stop()
        if worker:
            works.append(asyncio.create_task(worker.end(at_once=len(works) > 1)))

    try:
        with stopping(stop):
            await server.run(speak, output.write_remark)
    finally:
        if worker:
            await worker.end()
        for each in works:
            each.cancel()
        await asyncio.gather(*works, return_exceptions=True)


def leave_hanging_threads() -> None:
    """End this process if a thread still waits for a store that does not answer: Python would wait for it."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon and thread.name.startswith("aiodag-web"):
            thread.join(LAST_THREADS)
            if thread.is_alive():
                output.flush()
                sys.stderr.flush()
                os._exit(0)


# What would hinder it


def check_server(args: Namespace) -> int:
    """Print all that would hinder the server; return 2 if anything would."""
    found = list(dict.fromkeys(server_faults(args)))
    if found:
        for each in found:
            output.error(each)
        return UNFIT
    options = serve_options(typed_keys(args))
    text = f"nothing is wrong: `aiodag serve` would listen on {options.host}, port {options.port}"
    say(args, {"host": options.host, "port": options.port, "wrong": []}, text)
    return 0


def server_faults(args: Namespace) -> Iterator[str]:
    """Yield a line for all that is wrong: with the settings, then with the store, the certificate and the port."""
    for look in (settings, lambda: serve_options(typed_keys(args))):
        try:
            look()
        except SettingsError as error:
            yield from str(error).splitlines()
    try:
        options = serve_options(typed_keys(args))
    except SettingsError:
        return
    try:
        with serving_store(args, "a server") as service:
            yield from hindrances_of(args, service, options)
    except (AiodagError, OSError) as error:
        yield str(error)


def hindrances_of(args: Namespace, service: Service, options: ServeOptions) -> Iterator[str]:
    """Yield what is wrong with the store, and with what else the server would need."""
    looks = (
        lambda: look_first(service, options),
        lambda: spans_of(args),
        lambda: page_server(service, options).rehearse(),
    )
    for look in looks:
        try:
            look()
        except (AiodagError, OSError) as error:
            yield str(error)
