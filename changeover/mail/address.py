"""One recipient and no more: what an account's address must be before a code is sent to it."""

import re
from typing import Final

# An unquoted local part (RFC 5321, 4.1.2: Dot-string). Quoted ones could carry spaces and commas.
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LONGEST_LOCAL: Final = 64  # RFC 5321, 4.5.3.1.1
_LONGEST: Final = 254  # RFC 5321, 4.5.3.1.3: a path of 256 with its angle brackets


class InvalidRecipient(ValueError):
    """The address is not exactly one plain address. Its text never quotes the address."""

    def __init__(self) -> None:
        super().__init__("the recipient is not exactly one plain e-mail address")


def parse_recipient(value: str) -> str:
    """Return the one address in `value`, ready for RCPT: ASCII, a non-ASCII domain IDNA-encoded.

    Refuses a second address, a display name, spaces, control characters, a quoted or non-ASCII local
    part, an address literal, and more than 254 characters, all as `InvalidRecipient`.
    """
    local, _, domain = value.rpartition("@")
    encoded = _ascii_domain(domain)
    address = f"{local}@{encoded}"
    if (
        encoded is None
        or not _LOCAL.fullmatch(local)
        or not _DOMAIN.fullmatch(encoded)
        or len(local) > _LONGEST_LOCAL
        or len(address) > _LONGEST
    ):
        raise InvalidRecipient
    return address


def _ascii_domain(domain: str) -> str | None:
    if domain.isascii():
        return domain
    try:
        encoded = domain.encode("idna").decode("ascii")
        decoded = encoded.encode("ascii").decode("idna")
    except UnicodeError:
        return None
    # The codec is IDNA 2003: it takes "faß.de" for "fass.de", which may be someone else's domain. Only
    # a name that survives the way there and back is the name that was meant.
    return encoded if decoded == domain.lower() else None
