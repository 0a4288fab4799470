"""What arrived in the mail catcher, and how a change gets as far as its mails."""

import email
import re
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from tests.activities.house import House
from tests.storage.rows import Rented


def mails_in(inbox: Path) -> list[EmailMessage]:
    messages = [
        email.message_from_bytes(file.read_bytes(), policy=default) for file in sorted(inbox.glob("*.eml"))
    ]
    assert all(isinstance(message, EmailMessage) for message in messages)
    return messages


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\N{NO-BREAK SPACE}", " ")


def code_in(message: EmailMessage) -> str:
    found = re.search(r"\b[B-Z]{4}-[B-Z]{4}\b", text_of(message))
    assert found is not None
    return found[0]


async def open_change(house: House, **what: Any) -> tuple[Rented, str]:
    rented = await house.rent(**({"marked": 1} | what))
    request = await house.request(rented, rented.wants(24, 2))
    await house.open(request)
    return rented, request.change_id
