"""A mail server that keeps nothing but the codes, by Message-ID: one account may have many changes."""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP, Envelope, Session

from changeover.domain.confirmation import ALPHABET
from changeover.mail import message_id

SENDER_DOMAIN = "host.example"

_CODE = re.compile(rf"^ +([{ALPHABET}]{{4}}-[{ALPHABET}]{{4}})\r?$".encode(), re.MULTILINE)
_TAKEN = "250 2.0.0 taken"
_MESSAGE_ID = re.compile(rb"^Message-ID: *(\S+)\r?$", re.MULTILINE | re.IGNORECASE)


class MailSink:
    """Takes every mail; `code` hands over the first code of a change.

    `received` counts mails, the last of which came at `last_at` (`time.perf_counter`); `again` has the
    Message-IDs of those that came once more.
    """

    def __init__(self) -> None:
        self.received = 0
        self.last_at = 0.0
        self.again: list[str] = []
        self.port = 0
        self._seen: set[bytes] = set()
        self._codes: defaultdict[str, asyncio.Future[str]] = defaultdict(asyncio.Future)

    async def code(self, change_id: str) -> str:
        """Wait for the first code of a change, and forget it."""
        mail = message_id(change_id, "code-1", SENDER_DOMAIN)
        code = await self._codes[mail]
        del self._codes[mail]
        return code

    async def has(self, count: int) -> None:
        """Wait until so many mails have come."""
        while self.received < count:  # noqa: ASYNC110 - another process sends them
            await asyncio.sleep(0.02)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        code, mail = _CODE.search(content), _MESSAGE_ID.search(content)
        assert mail is not None, "each of our mails has its Message-ID"
        if mail[1] in self._seen:
            self.again.append(mail[1].decode())
            return _TAKEN
        self._seen.add(mail[1])
        self.received, self.last_at = self.received + 1, time.perf_counter()
        if code is not None and not (its := self._codes[mail[1].decode()]).done():
            its.set_result(code[1].decode())
        return _TAKEN


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
