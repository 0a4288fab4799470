"""Mail servers for tests: a real one whose answers can be scripted, and one that speaks raw bytes."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any, Final

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session

HANG: Final = "<hang>"
DROP: Final = "<drop>"

USERNAME: Final = "mailer"
PASSWORD: Final = "p\u00e4ssw\u00f6rd"  # not ASCII, as passwords may be


@dataclass
class Script:
    """What the server answers instead of yes: per command, the answers in turn. `HANG` and `DROP` too."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    received: list[Envelope] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

    def message(self, number: int = 0) -> EmailMessage:
        content = self.received[number].original_content
        assert content is not None
        message = BytesParser(policy=default).parsebytes(content)
        assert isinstance(message, EmailMessage)
        return message

    async def _answer(self, server: SMTP, command: str) -> str | None:
        self.commands.append(command)
        answers = self.answers.get(command)
        if not answers:
            return None
        answer = answers.pop(0)
        if answer == DROP:
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        if answer in {DROP, HANG}:
            self.hanging.set()
            await asyncio.sleep(3600)
        return answer

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        answer = await self._answer(server, "EHLO")
        return responses if answer is None else [answer]

    async def handle_AUTH(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, args: list[str]
    ) -> Any:
        answer = await self._answer(server, "AUTH")
        return MISSING if answer is None else answer

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return await self._answer(server, "MAIL") or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return await self._answer(server, "RCPT") or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.received.append(envelope)
        return await self._answer(server, "DATA") or "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return await self._answer(server, "QUIT") or "221 Bye"

    async def handle_RSET(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return await self._answer(server, "RSET") or "250 OK"


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth_data: Any
) -> AuthResult:
    expected = LoginPassword(USERNAME.encode(), PASSWORD.encode())
    return AuthResult(success=auth_data == expected, handled=False)


@contextlib.asynccontextmanager
async def scripted_server(
    script: Script,
    *,
    starttls: ssl.SSLContext | None = None,
    implicit_tls: ssl.SSLContext | None = None,
    without_auth: tuple[str, ...] = (),
) -> AsyncIterator[int]:
    """Serve `script`; yields the port."""
    loop = asyncio.get_running_loop()
    protocols: list[SMTP] = []

    def connected() -> SMTP:
        protocol = SMTP(
            script,
            hostname="localhost",
            loop=loop,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=_authenticate,
            auth_require_tls=implicit_tls is None,
            auth_exclude_mechanism=without_auth,
        )
        protocols.append(protocol)
        return protocol

    server = await loop.create_server(connected, "127.0.0.1", 0, ssl=implicit_tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for protocol in protocols:
            if isinstance(protocol.transport, asyncio.WriteTransport):
                protocol.transport.abort()


@contextlib.asynccontextmanager
async def raw_server(*answers: bytes | None) -> AsyncIterator[int]:
    """Say the first answer, then one more after each line that comes in; None and the end are silence."""
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, answer in enumerate(answers):
            if number:
                await reader.readline()
            if answer is None:
                break
            writer.write(answer)
        await ended.wait()
        writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        ended.set()
        server.close()
