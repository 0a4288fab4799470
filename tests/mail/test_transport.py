"""Faults 5 to 9 and 12: what became of a mail is judged right, and in time."""

import asyncio
import dataclasses
import logging
import time
from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import parseaddr

import aiosmtplib
import pytest

from changeover.mail import (
    InvalidRecipient,
    MailDeferred,
    MailError,
    MailMisconfigured,
    MailRejected,
    SmtpOptions,
    SmtpTransport,
)
from tests.mail.canary import CODE, MAIL, RECIPIENT, SHORT, SUBJECT, WORDS, assert_clean, failure_of, options
from tests.mail.servers import DROP, HANG, Script, raw_server, scripted_server

IN_TIME = 10.0  # seconds: far above the timeouts used here, far below those of a server


async def test_a_mail_arrives_whole() -> None:
    script = Script()
    async with scripted_server(script) as port:
        await SmtpTransport(options(port)).send(MAIL)

    assert script.commands == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert script.received[0].mail_from == "noreply@panel.example"
    assert script.received[0].rcpt_tos == [RECIPIENT]
    message = script.message()
    assert message["Subject"] == SUBJECT
    assert message["From"] == "H\u00e9bergeur <noreply@panel.example>"
    assert message["To"] == RECIPIENT
    assert message["Message-ID"] == MAIL.message_id
    assert message["Content-Language"] == "fr"
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = message.iter_parts()
    assert text.get_content().replace("\r\n", "\n") == MAIL.text
    assert html.get_content().strip() == MAIL.html


async def test_every_line_is_short_and_7_bit() -> None:
    long = "\u00e9" * 3000 + "\n.\n..\nFrom here\n" + "x" * 3000 + "\n"
    script = Script()
    mail = dataclasses.replace(MAIL, text=long, html=f"<p>{long}</p>", subject="\u00fcber " * 60 + "!")
    async with scripted_server(script) as port:
        await SmtpTransport(options(port)).send(mail)

    content = script.received[0].original_content
    assert content is not None
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 78
    text = next(iter(script.message().iter_parts()))
    assert text.get_content().replace("\r\n", "\n") == long
    assert script.message()["Subject"] == mail.subject


@pytest.mark.parametrize(
    "words",
    [
        # Each of these is lost or changed by the header folding of Python 3.11's EmailMessage.
        '\u00ab\u00a0x\u00a0\u00bb a a "q" Les B\u00fbcherons l\u2019offre \u00e9t\u00e9 \U0001f600',
        '& \U0001f600 \U0001f600 serveurs \u00e9t\u00e9 "q" \U0001f600 l\u2019offre',
        "=?utf-8?q?x?=",
        "H\u00e9bergeur de jeux " * 6 + "SA",
        "plain, <words>; (all of) ASCII: @",
    ],
)
async def test_headers_arrive_as_they_were(words: str) -> None:
    script = Script()
    async with scripted_server(script) as port:
        transport = SmtpTransport(options(port, sender_name=words))
        await transport.send(dataclasses.replace(MAIL, subject=words))

    headers = message_from_bytes(script.received[0].original_content or b"")
    assert str(make_header(decode_header(headers["Subject"]))) == words
    name, address = parseaddr(headers["From"])
    assert str(make_header(decode_header(name))) == words
    assert address == "noreply@panel.example"


async def test_a_sender_may_have_no_name() -> None:
    script = Script()
    async with scripted_server(script) as port:
        await SmtpTransport(options(port, sender_name="")).send(MAIL)

    assert script.message()["From"] == "noreply@panel.example"


@pytest.mark.parametrize("field", ["message_id", "language"])
async def test_a_header_cannot_smuggle_another(field: str) -> None:
    mail = dataclasses.replace(MAIL, **{field: "<a@b>\r\nBcc: other@players.example"})
    with pytest.raises(ValueError, match="one word"):
        await SmtpTransport(options(25)).send(mail)


async def test_450_is_deferred_and_the_next_try_goes_through() -> None:
    script = Script({"RCPT": [f"450 4.2.0 <{RECIPIENT}> {WORDS}"]})
    async with scripted_server(script) as port:
        transport = SmtpTransport(options(port))
        error = await failure_of(transport)
        await transport.send(MAIL)

    assert isinstance(error, MailDeferred)
    assert (error.stage, error.code) == ("recipient", 450)
    assert str(error) == f"mail deferred by 127.0.0.1:{port} at recipient, SMTP 450"
    assert len(script.received) == 1


@pytest.mark.parametrize(
    ("command", "answer", "verdict", "stage"),
    [
        ("EHLO", "421 4.3.2", MailDeferred, "ehlo"),
        ("EHLO", "502 5.5.1", MailMisconfigured, "ehlo"),
        ("MAIL", "451 4.3.0", MailDeferred, "sender"),
        ("MAIL", "553 5.1.8", MailMisconfigured, "sender"),
        ("MAIL", "530 5.7.0", MailMisconfigured, "sender"),
        ("RCPT", "421 4.3.2", MailDeferred, "recipient"),
        ("RCPT", "550 5.1.1", MailRejected, "recipient"),
        ("RCPT", "550 5.7.1", MailRejected, "recipient"),
        ("RCPT", "554 5.1.1", MailRejected, "recipient"),
        ("RCPT", "550", MailRejected, "recipient"),
        # What servers keep back until RCPT although it is about us:
        ("RCPT", "554 5.7.1", MailMisconfigured, "recipient"),
        ("RCPT", "553 5.7.1", MailMisconfigured, "recipient"),
        ("RCPT", "550 5.1.8", MailMisconfigured, "recipient"),
        ("RCPT", "530 5.7.0", MailMisconfigured, "recipient"),
        ("RCPT", "252 2.1.5", MailDeferred, "recipient"),
        ("DATA", "452 4.3.1", MailDeferred, "data"),
        ("DATA", "550 5.7.1", MailRejected, "data"),
        ("DATA", "554 5.6.0", MailRejected, "data"),
        ("DATA", "650 what", MailDeferred, "data"),
    ],
)
async def test_each_answer_has_its_verdict(
    command: str, answer: str, verdict: type[MailError], stage: str
) -> None:
    code, _, status = answer.partition(" ")
    script = Script({command: [f"{code} {status} <{RECIPIENT}> {WORDS}" if status else code + " "]})
    async with scripted_server(script) as port:
        error = await failure_of(SmtpTransport(options(port)))

    assert type(error) is verdict
    assert error.stage == stage
    assert error.code == (None if code == "650" else int(code))


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
@pytest.mark.parametrize("goodbye", [HANG, DROP, "421 4.4.2 gone"])
async def test_a_550_stays_permanent_when_the_server_then_fails(command: str, goodbye: str) -> None:
    script = Script({command: [f"550 5.1.1 <{RECIPIENT}> {WORDS}"], "QUIT": [goodbye], "RSET": [goodbye]})
    async with scripted_server(script) as port:
        started = time.monotonic()
        error = await failure_of(SmtpTransport(options(port, timeout=SHORT)))

    assert isinstance(error, MailRejected)
    assert error.code == 550
    assert time.monotonic() - started < IN_TIME


@pytest.mark.parametrize("goodbye", [HANG, DROP, "500 5.5.1 no"])
async def test_an_accepted_mail_stays_accepted_when_the_server_then_fails(goodbye: str) -> None:
    script = Script({"QUIT": [goodbye]})
    async with scripted_server(script) as port:
        started = time.monotonic()
        await SmtpTransport(options(port, timeout=SHORT)).send(MAIL)

    assert time.monotonic() - started < IN_TIME


async def test_a_connection_lost_after_the_dot_is_deferred_and_sent_again_under_the_same_id() -> None:
    script = Script({"DATA": [DROP]})
    async with scripted_server(script) as port:
        transport = SmtpTransport(options(port))
        error = await failure_of(transport)
        await transport.send(MAIL)

    assert isinstance(error, MailDeferred)
    assert (error.stage, error.code) == ("data", None)
    assert script.message(0)["Message-ID"] == script.message(1)["Message-ID"] == MAIL.message_id


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_hang_ends_at_the_timeout(command: str) -> None:
    script = Script({command: [HANG]})
    async with scripted_server(script) as port:
        started = time.monotonic()
        error = await failure_of(SmtpTransport(options(port, timeout=SHORT)))

    assert isinstance(error, MailDeferred)
    assert error.code is None
    assert time.monotonic() - started < IN_TIME


@pytest.mark.parametrize(
    ("greeting", "verdict", "code"),
    [
        (None, MailDeferred, None),
        (b"220 never finish", MailDeferred, None),
        (b"hello there\r\n", MailDeferred, None),
        (b"421 busy\r\n", MailDeferred, 421),
        (b"554 not you\r\n", MailMisconfigured, 554),
    ],
)
async def test_a_slow_or_strange_banner(
    greeting: bytes | None, verdict: type[MailError], code: int | None
) -> None:
    async with raw_server(greeting) as port:
        started = time.monotonic()
        error = await failure_of(SmtpTransport(options(port, timeout=SHORT)))

    assert type(error) is verdict
    assert (error.stage, error.code) == ("connect", code)
    assert time.monotonic() - started < IN_TIME


async def test_an_answer_without_end_is_deferred() -> None:
    async with raw_server(b"220 hello\r\n", b"250-more\r\n" * 10_000) as port:
        error = await failure_of(SmtpTransport(options(port, timeout=SHORT)))

    assert isinstance(error, MailDeferred)
    assert (error.stage, error.code) == ("ehlo", None)


async def test_a_refused_connection_is_deferred() -> None:
    async with raw_server() as port:
        pass
    error = await failure_of(SmtpTransport(options(port)))

    assert isinstance(error, MailDeferred)
    assert str(error) == f"mail deferred by 127.0.0.1:{port} at connect"


@pytest.mark.parametrize(
    "recipient",
    [
        f"{RECIPIENT}\r\nBcc: other@players.example",
        f"{RECIPIENT}\n",
        f"{RECIPIENT}, other@players.example",
        f"{RECIPIENT};other@players.example",
        f"Canary <{RECIPIENT}>",
    ],
)
async def test_no_second_recipient_gets_in(recipient: str) -> None:
    script = Script()
    async with scripted_server(script) as port:
        with pytest.raises(InvalidRecipient) as caught:
            await SmtpTransport(options(port)).send(dataclasses.replace(MAIL, recipient=recipient))

    assert_clean(caught.value)
    assert script.commands == []


async def test_a_defect_does_not_get_out_with_the_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise ValueError(f"{RECIPIENT} {CODE}")

    monkeypatch.setattr(aiosmtplib.SMTP, "rcpt", broken)
    async with scripted_server(Script()) as port:
        with caplog.at_level(logging.ERROR, logger="changeover"):
            error = await failure_of(SmtpTransport(options(port)))

    assert isinstance(error, MailDeferred)
    assert caplog.messages == ["mail: unexpected ValueError at recipient"]
    assert RECIPIENT not in caplog.text


async def test_a_cancelled_sending_hangs_up() -> None:
    script = Script({"DATA": [HANG]})
    async with scripted_server(script) as port:
        sending = asyncio.create_task(SmtpTransport(options(port)).send(MAIL))
        await script.hanging.wait()
        started = time.monotonic()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert time.monotonic() - started < IN_TIME  # no goodbye is waited for


async def test_check_sends_nothing() -> None:
    script = Script()
    async with scripted_server(script) as port:
        await SmtpTransport(options(port)).check()

    assert script.commands == ["EHLO", "QUIT"]


def test_what_is_printed_of_a_mail_has_no_secrets() -> None:
    assert RECIPIENT not in repr(MAIL)
    assert CODE not in repr(MAIL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": "mailer", "password": "secret", "tls": "none"},
        {"username": "mailer", "tls": "starttls"},
        {"password": "secret", "tls": "starttls"},
        {"timeout": 0.0},
        {"host": ""},
        {"host": "mail.example\r\nX"},
        {"helo_name": "two words"},
        {"sender_name": "Panel\r\nBcc: other@players.example"},
        {"sender": "a@panel.example, b@panel.example"},
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each has its own words
        options(25, **wrong)
    assert "secret" not in str(caught.value)


def test_what_is_printed_of_the_options_has_no_password() -> None:
    shown = SmtpOptions(
        host="mail.example", port=587, sender="a@b\u00fccher.example", username="u", password="hidden"
    )
    assert "hidden" not in repr(shown)
    assert shown.sender_domain == "xn--bcher-kva.example"
    assert shown.server == "mail.example:587"
