"""How mail leaves the house."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from changeover.mail.address import InvalidRecipient, parse_recipient

_ONE_WORD: Final = re.compile(r"[!-~]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, kw_only=True, slots=True)
class SmtpOptions:
    """The way to the mail server. `timeout` (seconds) bounds each wait for it, not the whole conversation.

    `tls` is "starttls" (required, never skipped) or "tls" (from the first byte); "none" is for the embedded
    mode, and then no password is taken. `ca_file` replaces the system's certificate authorities.
    `helo_name` is the sender's domain when None. Raises `ValueError` for what can't work.
    """

    host: str
    port: int
    sender: str
    tls: Literal["starttls", "tls", "none"] = "starttls"
    sender_name: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeout: float = 30.0
    helo_name: str | None = None

    def __post_init__(self) -> None:
        if self.password is not None and self.tls == "none":
            raise ValueError("a password is never sent without TLS")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.timeout <= 0:
            raise ValueError("timeout is more than 0 seconds")
        if not _ONE_WORD.fullmatch(self.host) or not _ONE_WORD.fullmatch(self.helo_name or self.host):
            raise ValueError("host and helo_name are names or addresses, in ASCII")
        if _CONTROL.search(self.sender_name):
            raise ValueError("sender_name is one line of plain text")
        try:
            sender = parse_recipient(self.sender)
        except InvalidRecipient:
            raise ValueError("sender is one plain e-mail address") from None
        object.__setattr__(self, "sender", sender)

    @property
    def sender_domain(self) -> str:
        """The domain of `sender`: what Message-IDs end in."""
        return self.sender.rpartition("@")[2]

    @property
    def server(self) -> str:
        """`host:port`, as it stands in errors."""
        return f"{self.host}:{self.port}"
