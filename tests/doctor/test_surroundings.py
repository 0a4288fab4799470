"""What only a worker sees: keys, host and mail server, each broken for real."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover import surroundings
from changeover.diagnosis import Finding, Status
from changeover.settings import WorkerSettings
from changeover.storage import tables
from changeover.storage.database import Database
from changeover.surroundings import Surroundings
from tests.doctor.conftest import Authority, MakeSettings, finding_of
from tests.mail.servers import PASSWORD, USERNAME, Script, scripted_server
from tests.storage.rows import rent, set_values
from tests.storage.test_types_and_rules import a_change, add_change

YEAR = timedelta(days=365)


async def found(settings: WorkerSettings, name: str, **options: Any) -> Finding:
    return await finding_of(Surroundings(settings, **options).checks(), name)


def mailing(make_settings: MakeSettings, port: int, authority: Authority, **more: Any) -> WorkerSettings:
    login = {"smtp_username": USERNAME, "smtp_password": PASSWORD}
    tls = {"smtp_port": port, "smtp_tls": "starttls", "smtp_ca_file": authority.file}
    return make_settings(**login | tls | more)


async def test_mail_is_tried_without_sending_any(make_settings: MakeSettings, authority: Authority) -> None:
    script = Script()
    async with scripted_server(script, starttls=authority.server(YEAR)) as port:
        finding = await found(mailing(make_settings, port, authority), "mail")
    assert finding.verdict.status is Status.OK
    assert (
        "takes our sign-in (starttls); its certificate is valid for 364 more days" in finding.verdict.message
    )
    assert script.commands == ["EHLO", "EHLO", "AUTH", "QUIT"]


@pytest.mark.parametrize(
    ("language", "word"), [("en", "a test mail"), ("fr", "message d\N{RIGHT SINGLE QUOTATION MARK}essai")]
)
async def test_a_test_mail_is_sent_in_the_language_asked_for(
    make_settings: MakeSettings, authority: Authority, language: str, word: str
) -> None:
    script = Script()
    async with scripted_server(script, starttls=authority.server(YEAR)) as port:
        settings = mailing(make_settings, port, authority)
        finding = await found(settings, "mail", send_to="olga@host.example", language=language)
    assert "it took the test mail" in finding.verdict.message
    assert "olga@host.example" not in str(finding.record)
    assert script.received[0].rcpt_tos == ["olga@host.example"]
    assert word in str(script.message()["Subject"])


async def test_a_test_mail_needs_one_plain_address(make_settings: MakeSettings, authority: Authority) -> None:
    script = Script()
    async with scripted_server(script, starttls=authority.server(YEAR)) as port:
        settings = mailing(make_settings, port, authority)
        finding = await found(settings, "mail", send_to="a@host.example, b@host.example")
    assert finding.is_wrong
    assert not script.received


async def test_a_refused_recipient_is_told(make_settings: MakeSettings, authority: Authority) -> None:
    script = Script({"RCPT": ["550 5.1.1 no such user olga@host.example"]})
    async with scripted_server(script, starttls=authority.server(YEAR)) as port:
        settings = mailing(make_settings, port, authority)
        finding = await found(settings, "mail", send_to="olga@host.example")
    assert finding.is_wrong
    assert "recipient" in finding.verdict.advice
    assert "olga" not in str(finding.record)


async def test_a_wrong_password_is_wrong(make_settings: MakeSettings, authority: Authority) -> None:
    async with scripted_server(Script(), starttls=authority.server(YEAR)) as port:
        settings = mailing(make_settings, port, authority, smtp_password="not-this-one")
        finding = await found(settings, "mail")
    assert finding.is_wrong
    assert "CHANGEOVER_SMTP_PASSWORD" in finding.verdict.advice
    assert "not-this-one" not in str(finding.record)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_an_expired_certificate_is_called_so(
    make_settings: MakeSettings, authority: Authority, tls: str
) -> None:
    over = authority.server(timedelta(days=-1))
    starttls, implicit = (over, None) if tls == "starttls" else (None, over)
    async with scripted_server(Script(), starttls=starttls, implicit_tls=implicit) as port:
        finding = await found(mailing(make_settings, port, authority, smtp_tls=tls), "mail")
    assert finding.is_wrong
    assert "certificate has expired" in finding.verdict.message


async def test_a_certificate_that_ends_soon_is_a_warning(
    make_settings: MakeSettings, authority: Authority
) -> None:
    async with scripted_server(Script(), starttls=authority.server(timedelta(days=10, hours=1))) as port:
        finding = await found(mailing(make_settings, port, authority), "mail")
    assert finding.verdict.status is Status.WARNING
    assert "valid for 10 more days" in finding.verdict.message


async def test_no_starttls_is_wrong_and_no_password_is_sent(
    make_settings: MakeSettings, authority: Authority
) -> None:
    script = Script()
    async with scripted_server(script) as port:
        finding = await found(mailing(make_settings, port, authority), "mail")
    assert finding.is_wrong
    assert "STARTTLS" in finding.verdict.advice
    assert "AUTH" not in script.commands


async def test_no_mail_server_is_wrong(make_settings: MakeSettings) -> None:
    finding = await found(make_settings(), "mail")
    assert finding.is_wrong
    assert "it may be only for now" in finding.verdict.advice


async def test_settings_that_cannot_work_together_are_named(make_settings: MakeSettings) -> None:
    finding = await found(make_settings(smtp_username="mailer"), "mail")
    assert finding.is_wrong
    assert "username and password go together" in finding.verdict.message


async def test_a_host_is_told_with_its_room(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings()
    monkeypatch.setattr(surroundings, "LEAST_FREE_BYTES", 0)
    monkeypatch.setattr(surroundings, "LEAST_FREE_SHARE", 0)
    finding = await found(settings, "host")
    assert finding.verdict.status is Status.OK
    assert "GiB are free" in finding.verdict.message
    monkeypatch.setattr(surroundings, "LEAST_FREE_BYTES", 2**80)
    assert (await found(settings, "host")).verdict.status is Status.WARNING


@pytest.mark.parametrize("folder", ["/proc", "/proc/nowhere"])
async def test_a_host_folder_that_cannot_be_written_is_wrong(
    make_settings: MakeSettings, folder: str
) -> None:
    finding = await found(make_settings(host_dir=Path(folder)), "host")
    assert finding.is_wrong
    assert "CHANGEOVER_HOST_DIR" in finding.verdict.advice


async def test_keys_are_judged_by_what_open_changes_need(
    make_settings: MakeSettings, database: Database, database_url: str
) -> None:
    settings = make_settings(database_url=database_url)
    assert (await found(settings, "keys")).verdict.status is Status.OK
    change = a_change(await rent(database))
    await add_change(database, change)
    await set_values(database, tables.plan_changes, change.id, code_key_id="lost")
    finding = await found(settings, "keys")
    assert finding.is_wrong
    assert "lost (1 open)" in finding.verdict.message


async def test_secrets_that_everybody_may_read_are_a_warning(
    make_settings: MakeSettings,
    sqlite_database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHANGEOVER_DIR", str(tmp_path))
    file = tmp_path / "changeover.env"
    file.write_text("CHANGEOVER_PROOF_KEY=secret\n")
    file.chmod(0o600)
    settings = make_settings()
    assert (await found(settings, "keys")).verdict.status is Status.OK
    file.chmod(0o604)
    finding = await found(settings, "keys")
    assert finding.verdict.status is Status.WARNING
    assert finding.verdict.message.startswith("code keys: new changes use ")
    assert f"chmod o= {file}" in finding.verdict.advice
    assert "secret\n" not in str(finding.record)
