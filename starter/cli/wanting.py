"""The configuration that a command line asks for, and the question whether it is meant."""

import signal
from dataclasses import replace

import click

from changeover.domain.catalogue import Configuration
from starter.cli.options import Wanted
from starter.views import ServiceView


def changed(service: ServiceView, wanted: Wanted) -> Configuration:
    """Return the configuration that is wanted: what isn't given stays, of marked servers the number kept."""
    servers = wanted.servers
    if servers is None:
        marked = sum(server.state == "marked" for server in service.servers)
        active = sum(server.state == "active" for server in service.servers)
        servers = active if marked else service.configuration.server_count
    return applied(service.configuration, wanted, servers)


def applied(before: Configuration, wanted: Wanted, servers: int) -> Configuration:
    """Return `before` with what is wanted, on that many servers."""
    options = (set(before.options) - set(wanted.drop)) | set(wanted.add)
    return replace(
        before,
        offer=before.offer if wanted.offer is None else wanted.offer,
        slots=before.slots if wanted.slots is None else wanted.slots,
        options=tuple(options),
        server_count=servers,
    )


def ask(question: str) -> str:
    """Ask at the terminal. Ctrl-C ends it at once: asyncio's own handler would only note it."""
    noted = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return str(click.prompt(question, default="", show_default=False))
    finally:
        signal.signal(signal.SIGINT, noted)
