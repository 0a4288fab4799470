"""Fault 10: nothing goes out in clear, and the operator is told."""

from pathlib import Path

import pytest

from changeover.mail import MailDeferred, MailMisconfigured, SmtpTransport
from tests.mail.canary import MAIL, RECIPIENT, SHORT, WORDS, failure_of, options
from tests.mail.conftest import Certificates
from tests.mail.servers import PASSWORD, USERNAME, Script, raw_server, scripted_server

LOGIN = {"username": USERNAME, "password": PASSWORD}


async def test_starttls_and_login(certificates: Certificates) -> None:
    script = Script()
    async with scripted_server(script, starttls=certificates.good) as port:
        transport = SmtpTransport(options(port, tls="starttls", ca_file=certificates.ca_file, **LOGIN))
        await transport.check()
        await transport.send(MAIL)

    assert script.commands == ["EHLO", "EHLO", "AUTH", "QUIT"] + ["EHLO"] * 2 + [
        *("AUTH", "MAIL", "RCPT", "DATA", "QUIT")
    ]
    assert script.received[0].rcpt_tos == [RECIPIENT]


@pytest.mark.parametrize("without", [(), ("PLAIN",)])
async def test_tls_from_the_first_byte(certificates: Certificates, without: tuple[str, ...]) -> None:
    script = Script()
    async with scripted_server(script, implicit_tls=certificates.good, without_auth=without) as port:
        await SmtpTransport(options(port, tls="tls", ca_file=certificates.ca_file, **LOGIN)).send(MAIL)

    assert len(script.received) == 1


async def test_stripped_starttls_sends_nothing(certificates: Certificates) -> None:
    script = Script()
    async with scripted_server(script) as port:
        error = await failure_of(
            SmtpTransport(options(port, tls="starttls", ca_file=certificates.ca_file, **LOGIN))
        )

    assert isinstance(error, MailMisconfigured)
    assert (error.stage, error.code) == ("starttls", None)
    assert script.commands == ["EHLO", "QUIT"]


@pytest.mark.parametrize(
    ("answer", "verdict", "code"),
    [
        (b"454 not now\r\n", MailDeferred, 454),
        (b"501 no\r\n", MailMisconfigured, 501),
        (b"220 go on\r\nbut this is no handshake\r\n", MailMisconfigured, None),
        (b"220 go on\r\n", MailDeferred, None),
    ],
)
async def test_starttls_that_comes_to_nothing(
    answer: bytes, verdict: type[Exception], code: int | None
) -> None:
    noise = b"this is no handshake either, and long enough to be read as one\r\n"
    after = noise if b"but" in answer else None
    async with raw_server(b"220 hello\r\n", b"250-hello\r\n250 STARTTLS\r\n", answer, after) as port:
        error = await failure_of(SmtpTransport(options(port, tls="starttls", timeout=SHORT)))

    assert type(error) is verdict
    assert (error.stage, error.code) == ("starttls", code)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize("certificate", ["other_name", "unknown_authority"])
async def test_a_bad_certificate_sends_nothing(
    certificates: Certificates, tls: str, certificate: str
) -> None:
    script = Script()
    context = getattr(certificates, certificate)
    serving = scripted_server(script, **{"starttls" if tls == "starttls" else "implicit_tls": context})
    async with serving as port:
        error = await failure_of(SmtpTransport(options(port, tls=tls, ca_file=certificates.ca_file, **LOGIN)))

    assert isinstance(error, MailMisconfigured)
    assert error.stage == ("starttls" if tls == "starttls" else "connect")
    assert not {"AUTH", "MAIL", "DATA"} & set(script.commands)


async def test_a_private_authority_must_be_named(certificates: Certificates) -> None:
    async with scripted_server(Script(), starttls=certificates.good) as port:
        error = await failure_of(SmtpTransport(options(port, tls="starttls")))

    assert isinstance(error, MailMisconfigured)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_bad_ca_file_is_for_the_operator(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    error = await failure_of(SmtpTransport(options(25, tls="starttls", ca_file=ca_file)))

    assert isinstance(error, MailMisconfigured)
    assert error.stage == "certificates"
    assert str(tmp_path) not in str(error)


async def test_plain_text_on_a_tls_port_is_for_the_operator() -> None:
    async with scripted_server(Script()) as port:
        error = await failure_of(SmtpTransport(options(port, tls="tls")))

    assert isinstance(error, MailMisconfigured)
    assert error.stage == "connect"


async def test_a_bad_password_is_tried_once(certificates: Certificates) -> None:
    script = Script()
    async with scripted_server(script, starttls=certificates.good) as port:
        login = {"username": USERNAME, "password": "wrong"}
        error = await failure_of(
            SmtpTransport(options(port, tls="starttls", ca_file=certificates.ca_file, **login))
        )

    assert isinstance(error, MailMisconfigured)
    assert (error.stage, error.code) == ("auth", 535)
    assert script.commands.count("AUTH") == 1
    assert "MAIL" not in script.commands


async def test_a_login_that_fails_for_now_is_deferred(certificates: Certificates) -> None:
    script = Script({"AUTH": [f"454 4.7.0 {WORDS}"]})
    async with scripted_server(script, starttls=certificates.good) as port:
        error = await failure_of(
            SmtpTransport(options(port, tls="starttls", ca_file=certificates.ca_file, **LOGIN))
        )

    assert isinstance(error, MailDeferred)
    assert (error.stage, error.code) == ("auth", 454)


@pytest.mark.parametrize("methods", [b"", b"AUTH CRAM-MD5 GSSAPI"])
async def test_no_way_to_log_in_is_for_the_operator(certificates: Certificates, methods: bytes) -> None:
    # aiosmtpd always offers PLAIN or LOGIN, so the answer to EHLO is scripted.
    script = Script({"EHLO": ["250 hello"]})
    if methods:
        script = Script({"EHLO": [f"250-hello\r\n250 {methods.decode()}"]})
    async with scripted_server(script, implicit_tls=certificates.good) as port:
        error = await failure_of(
            SmtpTransport(options(port, tls="tls", ca_file=certificates.ca_file, **LOGIN))
        )

    assert isinstance(error, MailMisconfigured)
    assert (error.stage, error.code) == ("auth", None)
