"""Sending: one mail, one recipient, one fresh connection, and the truth about what became of it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.charset import QP, Charset
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import format_datetime
from typing import Final

from changeover.mail.address import parse_recipient
from changeover.mail.conversation import Conversation
from changeover.mail.errors import MailError
from changeover.mail.options import SmtpOptions

_ONE_WORD: Final = re.compile(r"[!-~]+")

# EmailMessage would do the same in twice the time: it parses every header that it has just written.
_SMTP: Final = compat32.clone(linesep="\r\n")
_UTF_8: Final = Charset("utf-8")
_UTF_8.body_encoding = QP

_Business = Callable[[Conversation], Awaitable[None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class OutgoingMail:
    """A mail ready to go. `message_id` (with its angle brackets) stays the same when it is sent again."""

    recipient: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    message_id: str
    language: str


class SmtpTransport:
    """The way out by SMTP."""

    def __init__(self, options: SmtpOptions) -> None:
        self._options = options

    async def send(self, mail: OutgoingMail) -> None:
        """Hand `mail` over. Returns only when the server took responsibility for it (250 after the dot).

        Raises `InvalidRecipient` before anything is sent, `MailRejected`, `MailDeferred` or
        `MailMisconfigured`. None of them carries the address, the content or the server's words, nor
        another error that does.
        """
        recipient = parse_recipient(mail.recipient)
        content = _compose(mail, recipient, self._options)
        await self._converse(lambda conversation: conversation.deliver(recipient, content))

    async def check(self) -> datetime | None:
        """Connect, encrypt and log in without sending anything. Raises as `send` does.

        Returns when the server's certificate ends, None without TLS.
        """
        ends_at: list[datetime | None] = []

        async def look(conversation: Conversation) -> None:
            ends_at.append(conversation.certificate_ends_at)

        await self._converse(look)
        return ends_at[0]

    async def _converse(self, business: _Business) -> None:
        conversation = Conversation(self._options)
        try:
            failure = await _failure(conversation, business)
            await conversation.say_goodbye()
        finally:
            conversation.hang_up()
        # Raised here, far from the original: within `except`, that would hang on by `__context__`.
        if failure is not None:
            raise failure


async def _failure(conversation: Conversation, business: _Business) -> MailError | None:
    try:
        await conversation.open()
        await business(conversation)
    except Exception as error:  # noqa: BLE001 - any of them may quote the address, none may get out
        return conversation.judge(error)
    return None


def _compose(mail: OutgoingMail, recipient: str, options: SmtpOptions) -> bytes:
    """`mail` as bytes: 7-bit lines of at most 78 characters, for every server on the way."""
    sender = f"<{options.sender}>"
    if options.sender_name:
        sender = f"{_encoded('From', options.sender_name)}\r\n {sender}"
    headers = {
        "From": sender,
        "To": recipient,
        "Subject": _encoded("Subject", mail.subject),
        "Date": format_datetime(datetime.now(UTC)),
        "Message-ID": _one_word(mail.message_id),
        "Content-Language": _one_word(mail.language),
        "Auto-Submitted": "auto-generated",  # RFC 3834: no out-of-office answers, please
    }
    body = MIMEMultipart("alternative")
    for text, kind in ((mail.text, "plain"), (mail.html, "html")):
        part = MIMENonMultipart("text", kind)
        part.set_payload(text, _UTF_8)
        body.attach(part)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode() + body.as_bytes(policy=_SMTP)


def _encoded(name: str, value: str) -> str:
    """Encode and fold a header. Not by EmailMessage: Python 3.11's loses spaces, and breaks long names."""
    return Header(value, "utf-8", header_name=name).encode(linesep="\r\n")


def _one_word(value: str) -> str:
    if not _ONE_WORD.fullmatch(value):
        raise ValueError("a Message-ID and a language are one word of ASCII")
    return value
