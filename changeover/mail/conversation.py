"""One SMTP conversation, step by step, so that every way it can end is judged right."""

import asyncio
import contextlib
import logging
import ssl
from datetime import UTC, datetime
from typing import Final

import aiosmtplib

from changeover.mail.errors import MailDeferred, MailError, MailMisconfigured, MailRejected, Stage
from changeover.mail.options import SmtpOptions

logger = logging.getLogger(__name__)

# Once the outcome is known, saying goodbye is a courtesy that may take this many seconds.
_FAREWELL: Final = 2.0


class Conversation:
    """One connection to the server, used once. The steps raise what aiosmtplib raises: see `judge`."""

    def __init__(self, options: SmtpOptions) -> None:
        self._options = options
        self._stage: Stage = "certificates"
        # aiosmtplib's own way of upgrading falls back to clear text, so it is told not to try.
        self._client = aiosmtplib.SMTP(
            hostname=options.host,
            port=options.port,
            local_hostname=options.helo_name or options.sender_domain,
            timeout=options.timeout,
            use_tls=options.tls == "tls",
            start_tls=False,
        )
        self._transport: asyncio.BaseTransport | None = None

    async def open(self) -> None:
        """Connect, greet, encrypt and log in."""
        options = self._options
        context = None
        if options.tls != "none":
            context = await asyncio.to_thread(ssl.create_default_context, cafile=options.ca_file)
        self._stage = "connect"
        await self._client.connect(tls_context=context)
        self._transport = self._client.transport
        self._stage = "ehlo"
        await self._client.ehlo()
        if options.tls == "starttls":
            self._stage = "starttls"
            self._require("starttls")
            await self._client.starttls()
            self._transport = self._client.transport
            self._stage = "ehlo"
            await self._client.ehlo()
        if options.username is not None and options.password is not None:
            self._stage = "auth"
            await self._log_in(options.username, options.password)

    async def deliver(self, recipient: str, content: bytes) -> None:
        """Hand over one mail to one recipient; returns once the server has answered 250 to the final dot."""
        self._stage = "sender"
        await self._client.mail(self._options.sender)
        self._stage = "recipient"
        await self._client.rcpt(recipient)
        self._stage = "data"
        await self._client.data(content)

    async def say_goodbye(self) -> None:
        """Take leave. The outcome is known: nothing here may change it, or delay it for long."""
        with contextlib.suppress(Exception):
            await self._client.quit(timeout=min(_FAREWELL, self._options.timeout))

    def hang_up(self) -> None:
        """Cut the connection, if there still is one."""
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()

    def judge(self, error: Exception) -> MailError:
        """Judge what `error`, raised by the last step, means for the mail. Nothing of its text is kept."""
        code, reply = _reply_of(error)
        verdict: type[MailError] = MailDeferred
        unsupported = isinstance(error, aiosmtplib.SMTPNotSupported)
        if unsupported or self._stage == "certificates" or _is_tls_failure(error):
            verdict = MailMisconfigured
        elif code is not None and code // 100 == 5:
            refused = self._stage == "data" or (
                self._stage == "recipient" and not _means_the_sender(code, reply)
            )
            verdict = MailRejected if refused else MailMisconfigured
        elif not isinstance(error, (aiosmtplib.SMTPException, OSError)):
            # Not an answer of the network but perhaps a defect: to be seen, without its text.
            logger.error("mail: unexpected %s at %s", type(error).__name__, self._stage)
        return verdict(
            server=self._options.server,
            stage=self._stage,
            code=code,
            certificate=_certificate_failure(error),
        )

    @property
    def certificate_ends_at(self) -> datetime | None:
        """When the server's certificate ends; None without TLS."""
        certificate = self._transport.get_extra_info("peercert") if self._transport is not None else None
        if not certificate:
            return None
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)

    def _require(self, extension: str) -> None:
        if not self._client.supports_extension(extension):
            raise aiosmtplib.SMTPNotSupported(extension)

    async def _log_in(self, username: str, password: str) -> None:
        """Log in by one method, once: trying a bad password by each of them gets senders locked out."""
        self._require("auth")
        if "plain" in self._client.server_auth_methods:
            await self._client.auth_plain(username, password)
        elif "login" in self._client.server_auth_methods:
            await self._client.auth_login(username, password)
        else:
            raise aiosmtplib.SMTPNotSupported("auth")


def _reply_of(error: Exception) -> tuple[int | None, str]:
    """Take the server's reply out of `error`; a code of None when there is none or it makes no sense."""
    if isinstance(error, aiosmtplib.SMTPResponseException) and 200 <= error.code <= 599:
        return error.code, error.message
    return None, ""


def _cause_of(error: Exception) -> BaseException | None:
    return error.__cause__ if isinstance(error, aiosmtplib.SMTPConnectError) else error


def _certificate_failure(error: Exception) -> str | None:
    cause = _cause_of(error)
    return cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else None


def _is_tls_failure(error: Exception) -> bool:
    """Whether TLS came to nothing for good, as opposed to a connection lost during the handshake."""
    cause = _cause_of(error)
    return isinstance(cause, ssl.SSLError) and not isinstance(
        cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)
    )


def _means_the_sender(code: int, reply: str) -> bool:
    """Whether a 5xx to RCPT is about us: many servers (Postfix by default) keep those back until RCPT.

    530, 535, 538: log in first (RFC 4954). 5.1.7, 5.1.8: bad sender (RFC 3463). 553 or 554 with 5.7.1:
    the sender isn't ours to use, relaying is denied. When in doubt the operator is told, for nothing is
    lost by that: a customer whose address is fine must not lose the change.
    """
    status = reply.split(maxsplit=1)[0] if reply.strip() else ""
    if status == "5.7.1":
        return code in {553, 554}
    return code in {530, 535, 538} or status in {"5.1.7", "5.1.8"}
