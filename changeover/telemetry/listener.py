"""The worker's own HTTP: /metrics, /livez, /readyz, in the shapes that the API's have."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from changeover.telemetry.probes import Probes

_log = logging.getLogger("changeover.worker")


class CannotListen(Exception):
    """Something else listens there, or the address isn't this machine's."""


@asynccontextmanager
async def listening(
    address: str, probes: Probes, figures: Callable[[], Awaitable[bytes]]
) -> AsyncIterator[str]:
    """Answer at `address` (`host:port`) for the block, and give its URL. Raises `CannotListen`."""
    listener = _listen(address)
    host, port = listener.getsockname()[:2]
    config = uvicorn.Config(_application(probes, figures), access_log=False, log_config=None, lifespan="off")
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _log.info("figures and probes at %s", url)
        yield url
    finally:
        server.should_exit = True
        await serving
        listener.close()


def _application(probes: Probes, figures: Callable[[], Awaitable[bytes]]) -> Starlette:
    async def livez(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def readyz(_: Request) -> Response:
        found = await probes.look()
        return JSONResponse({"ready": found.ready, **found.parts}, 200 if found.ready else 503)

    async def metrics(_: Request) -> Response:
        await probes.look()
        return Response(await figures(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the worker: it answers until all that it has begun is finished."""
        yield


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family)
    except OSError as error:
        raise CannotListen(f"CHANGEOVER_WORKER_LISTEN: {address}: {error.strerror or error}") from None
