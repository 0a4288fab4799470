"""A proxy before a database server that cuts one connection at a chosen word."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass
class Proxy:
    """`armed`: the next time that a client says the word, its connection is cut; then no more."""

    port: int = 0
    armed: bool = False
    cuts: int = 0

    def cuts_now(self, said: bytes, word: bytes) -> bool:
        if not self.armed or word not in said:
            return False
        self.armed = False
        self.cuts += 1
        return True


@contextlib.asynccontextmanager
async def cutting_proxy(target: int, *, at: bytes, after: bool) -> AsyncIterator[Proxy]:
    """Pass on to port `target`; cut before the word is passed on, or `after` the server has answered it."""
    proxy = Proxy()
    writers: list[asyncio.StreamWriter] = []

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", target)
        writers.extend((to_client, to_server))
        answers = asyncio.create_task(pump(server, to_client))
        while data := await client.read(65_536):
            if proxy.cuts_now(data, at):
                answers.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await answers
                if after:
                    to_server.write(data)
                    await server.read(1)  # the server has done it
                break
            to_server.write(data)
        answers.cancel()
        to_client.transport.abort()
        to_server.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        for writer in writers:
            writer.transport.abort()
