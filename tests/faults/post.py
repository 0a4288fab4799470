"""The mail server of a faulty system: it answers by script, and keeps what it took responsibility for."""

import re
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import default

from aiosmtpd.smtp import SMTP, Envelope, Session

from changeover.domain.confirmation import ALPHABET
from tests.mail.servers import DROP, HANG, Script

CODE = re.compile(rf"\b[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}\b")


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail that arrived: to whom it was addressed in the envelope and in its head, and what it says."""

    recipients: tuple[str, ...]
    to: str
    message_id: str
    subject: str
    text: str
    tls: bool

    @property
    def code(self) -> str | None:
        found = CODE.search(self.text)
        return found[0] if found else None


@dataclass
class PostOffice(Script):
    """`answers` are used up in turn. A mail whose answer was lost, or never came, has arrived."""

    arrived: list[Mail] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answers = self.answers.get("DATA") or []
        if not answers or answers[0] in {DROP, HANG}:
            self.arrived.append(_mail(session, envelope))
        return await super().handle_DATA(server, session, envelope)

    def heal(self) -> None:
        self.answers.clear()

    def to(self, address: str) -> list[Mail]:
        return [mail for mail in self.arrived if address in mail.recipients]


def _mail(session: Session, envelope: Envelope) -> Mail:
    content = envelope.original_content or b""
    message = BytesParser(policy=default).parsebytes(content)
    body = message.get_body(("plain",))
    return Mail(
        recipients=tuple(envelope.rcpt_tos),
        to=str(message["To"]),
        message_id=str(message["Message-ID"]),
        subject=str(message["Subject"]),
        text=body.get_content() if body is not None else "",
        tls=session.ssl is not None,
    )
