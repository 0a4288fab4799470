"""E-mail: what it says, how it leaves, and what became of it. The catcher is imported by its own name."""

from changeover.mail.address import InvalidRecipient, parse_recipient
from changeover.mail.errors import MailDeferred, MailError, MailMisconfigured, MailRejected, Stage
from changeover.mail.messages import (
    LANGUAGES,
    CodeMail,
    DestroyedServer,
    OutcomeMail,
    Plan,
    Rendered,
    TrialMail,
    message_id,
    render,
)
from changeover.mail.options import SmtpOptions
from changeover.mail.transport import OutgoingMail, SmtpTransport

__all__ = [
    "LANGUAGES",
    "CodeMail",
    "DestroyedServer",
    "InvalidRecipient",
    "MailDeferred",
    "MailError",
    "MailMisconfigured",
    "MailRejected",
    "OutcomeMail",
    "OutgoingMail",
    "Plan",
    "Rendered",
    "SmtpOptions",
    "SmtpTransport",
    "Stage",
    "TrialMail",
    "message_id",
    "parse_recipient",
    "render",
]
