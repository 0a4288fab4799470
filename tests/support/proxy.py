"""A TCP proxy before a server: it delays, resets, refuses, falls silent, or cuts one connection at a word."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    """Passes everything on, until it is told otherwise.

    `cut_at(word)`: the next connection on which a client says the word is cut, before the word is passed on
    or `after` the server has answered it; then no more. `delay` holds back each piece, in seconds each way.
    While it is `closed`, a connection is reset at once. While it is `silent` nothing passes and nobody is
    told, as when a machine has lost its power; a connection of that time stays so for good.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.cuts = 0
        self.delay = 0.0
        self.closed = False
        self.silent = False
        self._dead: set[asyncio.StreamWriter] = set()
        self._word: bytes | None = None
        self._after = False
        self._connections: set[asyncio.StreamWriter] = set()

    def cut_at(self, word: bytes, *, after: bool) -> None:
        self._word, self._after = word, after

    def fall_silent(self) -> None:
        self.silent = True
        self._dead |= self._connections

    def reset(self) -> None:
        """Cut every connection there is."""
        for writer in list(self._connections):
            writer.transport.abort()

    def heal(self) -> None:
        self._word, self.delay, self.closed, self.silent = None, 0.0, False, False

    def _cuts_now(self, said: bytes) -> bool:
        if self._word is None or self._word not in said:
            return False
        self._word = None
        self.cuts += 1
        return True

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            await self._wait()
            if sink not in self._dead:
                sink.write(data)
        if sink not in self._dead:
            sink.close()

    async def _wait(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if self.closed:
            to_client.transport.abort()
            return
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            to_client.transport.abort()
            return
        ours = {to_client, to_server}
        self._connections |= ours
        if self.silent:
            self._dead |= ours
        answers = asyncio.create_task(self._pump(server, to_client))
        try:
            with contextlib.suppress(OSError):
                await self._pass_on(client, server, to_server, answers)
        finally:
            answers.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await answers
            self._connections -= ours
            self._dead -= ours
            for writer in ours:
                writer.transport.abort()

    async def _pass_on(
        self,
        client: asyncio.StreamReader,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        answers: asyncio.Task[None],
    ) -> None:
        """Pass on what the client says, until it ends or is cut off."""
        while data := await client.read(65_536):
            if self._cuts_now(data):
                answers.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await answers
                if self._after:
                    to_server.write(data)
                    await server.read(1)  # the server has done it
                return
            await self._wait()
            if to_server not in self._dead:
                to_server.write(data)


@contextlib.asynccontextmanager
async def proxy_to(target: int) -> AsyncIterator[Proxy]:
    """Pass on to port `target` of this machine."""
    proxy = Proxy(target)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        proxy.reset()
