"""What can become of a mail that was not accepted.

The texts hold the server, the step and the SMTP code, and nothing else: they travel into Temporal's
histories and logs, where no address and no code may be.
"""

from typing import Final, Literal

Stage = Literal["certificates", "connect", "ehlo", "starttls", "auth", "sender", "recipient", "data"]


class MailError(Exception):
    """The server did not accept the mail. `server` is host:port, `code` the SMTP reply if there was one.

    `certificate` is what OpenSSL finds wrong with the server's: one of its fixed sentences.
    """

    verdict: str

    def __init__(
        self, *, server: str, stage: Stage, code: int | None = None, certificate: str | None = None
    ) -> None:
        self.server: Final = server
        self.stage: Final = stage
        self.code: Final = code
        reply = "" if code is None else f", SMTP {code}"
        reply += "" if certificate is None else f", {certificate}"
        super().__init__(f"mail {self.verdict} by {server} at {stage}{reply}")


class MailRejected(MailError):
    """A permanent no (5xx) to this recipient or this message: sending it again is of no use."""

    verdict = "rejected"


class MailDeferred(MailError):
    """Not accepted now (4xx, refused, lost, timed out), or accepted and the answer lost.

    To be sent again, with the same Message-ID: after the final dot it may have been delivered.
    """

    verdict = "deferred"


class MailMisconfigured(MailError):
    """The operator must act: no TLS, a bad certificate, a refused login or a refused sender.

    Nothing was sent in clear. To be tried again slowly.
    """

    verdict = "refused for want of configuration"
