"""Reading the mails that the catcher keeps, as a customer would."""

import email
import email.policy
import re
from pathlib import Path

from changeover.domain.confirmation import ALPHABET

_CODE = re.compile(rf"\b[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}\b")


def read_code(mail: Path) -> tuple[str, str | None]:
    """Return the subject of a caught mail, and the code in its plain text, None when there is none."""
    message = email.message_from_bytes(mail.read_bytes(), policy=email.policy.default)
    body = message.get_body(("plain",))
    found = _CODE.search(body.get_content()) if body is not None else None
    return str(message["subject"]), found[0] if found else None
