"""A mail server that keeps nothing but the codes, by recipient: every customer has an own address."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP, Envelope, Session

from changeover.domain.confirmation import ALPHABET

_CODE = re.compile(rf"^ +([{ALPHABET}]{{4}}-[{ALPHABET}]{{4}})\r?$".encode(), re.MULTILINE)


class MailSink:
    """Takes every mail. `received` counts them; `code` hands over the code mailed to an address."""

    def __init__(self) -> None:
        self.received = 0
        self.port = 0
        self._codes: defaultdict[str, asyncio.Future[str]] = defaultdict(asyncio.Future)

    async def code(self, address: str) -> str:
        """Wait for the code mailed to `address`, and forget it."""
        code = await self._codes[address]
        del self._codes[address]
        return code

    async def has(self, count: int) -> None:
        """Wait until so many mails have come."""
        while self.received < count:  # noqa: ASYNC110 - another process sends them
            await asyncio.sleep(0.02)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.received += 1
        found = _CODE.search(envelope.original_content or b"")
        if found is None:
            return "250 2.0.0 taken"
        for address in envelope.rcpt_tos:
            if not self._codes[address].done():
                self._codes[address].set_result(found[1].decode())
        return "250 2.0.0 taken"


@asynccontextmanager
async def taking_mail() -> AsyncIterator[MailSink]:
    """Take mail on a free port of 127.0.0.1 for as long as the block runs."""
    sink = MailSink()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(sink, hostname="localhost", loop=loop), "127.0.0.1", 0)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
