"""Nothing that a failed mail leaves behind may hold the address, the code or the server's words."""

import traceback
from typing import Final

import pytest

from changeover.mail import MailError, OutgoingMail, SmtpOptions, SmtpTransport

RECIPIENT: Final = "canary.player@players.example"
CODE: Final = "BCDF-GHJK"
SUBJECT: Final = "Canari\u00a0: changement d\u2019offre"
WORDS: Final = "so-said-the-server"  # scripted answers quote this and the address, as real ones do

MAIL: Final = OutgoingMail(
    recipient=RECIPIENT,
    subject=SUBJECT,
    text=f"Votre code\u00a0:\n\n    {CODE}\n",
    html=f"<p>Votre code\u00a0: {CODE}</p>",
    message_id="<0123456789abcdef0123456789abcdef@panel.example>",
    language="fr",
)


SHORT = 1.0  # seconds: enough for every answer of a server of these tests, on a slow machine too


def options(port: int, **changes: object) -> SmtpOptions:
    values: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "sender": "noreply@panel.example",
        "sender_name": "H\u00e9bergeur",
        "tls": "none",
        "timeout": 5.0,
    }
    return SmtpOptions(**(values | changes))  # type: ignore[arg-type]


async def failure_of(transport: SmtpTransport, mail: OutgoingMail = MAIL) -> MailError:
    """Send, expect it to fail, and return the error once it is known to be clean."""
    with pytest.raises(MailError) as caught:
        await transport.send(mail)
    assert_clean(caught.value)
    return caught.value


def assert_clean(error: BaseException) -> None:
    assert error.__context__ is None
    assert error.__cause__ is None
    traces = "".join(traceback.format_exception(error))
    left_behind = " ".join([str(error), repr(error), repr(error.args), repr(vars(error)), traces])
    for secret in (RECIPIENT, "canary.player", CODE, SUBJECT, "Canari", WORDS):
        assert secret not in left_behind
