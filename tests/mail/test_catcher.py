"""The mail catcher keeps every mail as a whole file, delivers nothing, and ends when told."""

import asyncio
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

import pytest

from changeover.mail import MailDeferred, MailRejected, SmtpTransport
from changeover.mail.catcher import MailFolder, catching, main
from tests.mail.canary import CODE, MAIL, RECIPIENT, SUBJECT, failure_of, options


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_a_mail_is_kept_as_it_came(tmp_path: Path) -> None:
    async with catching(tmp_path) as (host, port):
        await SmtpTransport(options(port, host=host)).send(MAIL)

    assert names(tmp_path) == [f"000001-{RECIPIENT}.eml"]
    content = (tmp_path / f"000001-{RECIPIENT}.eml").read_bytes()
    message = BytesParser(policy=default).parsebytes(content)
    assert message["Subject"] == SUBJECT
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    assert body is not None
    assert CODE in body.get_content()


async def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "mails"
    for _ in range(2):
        async with catching(folder) as (host, port):
            transport = SmtpTransport(options(port, host=host))
            await asyncio.gather(transport.send(MAIL), transport.send(MAIL))

    assert names(folder) == [f"00000{n}-{RECIPIENT}.eml" for n in range(1, 5)]


def test_strange_files_do_not_disturb_the_numbers(tmp_path: Path) -> None:
    for name in ("notes.txt", "000007-a@b.eml", "1000000-a@b.eml", ".000009-a@b.eml.part", "12-a@b.eml"):
        (tmp_path / name).touch()
    assert MailFolder(tmp_path).keep("a@b", b"x").name == "1000001-a@b.eml"


@pytest.mark.parametrize(
    ("recipient", "name"),
    [
        ("../../etc/passwd@x", "000001-.._.._etc_passwd@x.eml"),
        ("a b\x00\u00e9@x", "000001-a_b_@x.eml"),
        ("a" * 300, "000001-" + "a" * 120 + ".eml"),
    ],
)
def test_names_of_files_are_harmless(tmp_path: Path, recipient: str, name: str) -> None:
    assert MailFolder(tmp_path).keep(recipient, b"x") == tmp_path / name
    assert names(tmp_path) == [name]


def test_readers_never_see_half_a_mail(tmp_path: Path) -> None:
    size = 1_000_000
    folder = MailFolder(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        writing = [pool.submit(folder.keep, "a@b", b"x" * size) for _ in range(30)]
        while not writing[-1].done():
            assert all(file.stat().st_size == size for file in tmp_path.glob("*.eml"))
    assert len([file.result() for file in writing]) == len(names(tmp_path))


async def test_a_mail_that_cannot_be_kept_is_deferred(tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    async with catching(folder) as (host, port):
        folder.rmdir()
        error = await failure_of(SmtpTransport(options(port, host=host)))

    assert isinstance(error, MailDeferred)
    assert not isinstance(error, MailRejected)
    assert error.code == 452


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "mail.example"])
async def test_only_loopback_is_served(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - from two places
        async with catching(tmp_path, host=host):
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_serves_until_it_is_told_to_end(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "changeover.mail.catcher", "--dir", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        ready = json.loads(program.stdout.readline())
        assert ready["host"] == "127.0.0.1"
        asyncio.run(SmtpTransport(options(ready["port"])).send(MAIL))
        program.send_signal(number)
        assert program.wait(timeout=10) == 0
        assert program.stderr.read() == ""
    assert names(tmp_path) == [f"000001-{RECIPIENT}.eml"]


def test_the_program_refuses_other_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--dir", str(tmp_path), "--port", "0", "--host", "0.0.0.0"])
    assert "--host" in capsys.readouterr().err
