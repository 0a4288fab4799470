"""Settings: what is wrong is said in words, secrets are not, and an embedded system is found by its file."""

import json
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from changeover import secret_files
from changeover.settings import (
    VARIABLES,
    EmbeddedMissing,
    Settings,
    SettingsUnreadable,
    WorkerSettings,
    embedded_dir,
    load,
    mistakes,
)

PROOF, CODE = "proof-key-that-nobody-may-read-0123", "code-key-that-nobody-may-read-01234"
PASSWORD = "smtp-password-that-nobody-may-read"
URL = "postgresql+asyncpg://changeover:database-password@db.example/changeover"
SECRETS = (PROOF, CODE, PASSWORD, "database-password")
ENVIRONMENT = {
    "DATABASE_URL": URL,
    "PROOF_KEY": PROOF,
    "CODE_KEYS": json.dumps({"2026-11": CODE}),
    "CODE_KEY_ID": "2026-11",
    "SMTP_HOST": "mail.example",
    "SMTP_USERNAME": "mailer",
    "SMTP_PASSWORD": PASSWORD,
    "MAIL_FROM": "noreply@example.com",
    "HOST_DIR": "/srv/servers",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment of our own, left as it was; with nothing set, nothing is found."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("CHANGEOVER_", "TEMPORAL_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]


def set_all(monkeypatch: pytest.MonkeyPatch, **different: str) -> None:
    for name, value in (ENVIRONMENT | different).items():
        monkeypatch.setenv(f"CHANGEOVER_{name}", value)


def test_all_of_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, MIN_DAYS_AFTER="2", COOLDOWN_DAYS="10", CODE_TTL_MINUTES="5", QUARANTINE_DAYS="9")
    settings = load(WorkerSettings)
    assert settings.database_url == URL
    assert (settings.policy.min_days_after, settings.policy.cooldown) == (2, timedelta(days=10))
    assert (settings.policy.max_days_after, settings.quarantine_days) == (3650, 9)
    assert settings.code_policy.ttl == timedelta(minutes=5)
    assert settings.code_policy.window == timedelta(minutes=60)
    assert settings.proof_secret == PROOF.encode()
    assert settings.code_secret("2026-11") == CODE.encode()
    assert settings.zone.key == "Europe/Paris"
    with pytest.raises(KeyError):
        settings.code_secret("2025-01")


def test_secrets_are_in_no_words_about_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch)
    settings = load(WorkerSettings)
    for secret in SECRETS:
        assert secret not in repr(settings) + str(settings)


WRONG = [
    ({"PROOF_KEY": "short-secret"}, "a key needs at least 32 characters; `openssl rand -hex 32` makes one"),
    ({"CODE_KEYS": '{"2026-11": "short-secret"}'}, "a key needs at least 32 characters"),
    ({"CODE_KEYS": "{}"}, "at least 1 item"),
    ({"CODE_KEY_ID": "2027-01"}, "code_key_id is 2027-01; code_keys has 2026-11"),
    ({"SMTP_TLS": "none"}, "smtp_tls=none sends codes in clear; use starttls or tls"),
    ({"SMTP_TLS": "maybe"}, "'starttls', 'tls' or 'none'"),
    ({"TIME_ZONE": "Europe/Atlantis"}, "Europe/Atlantis is no IANA time zone; Europe/Paris is one"),
    ({"DATABASE_URL": "mysql://changeover:database-password@db"}, "begins with sqlite+aiosqlite:///"),
    ({"PANEL_URL": "ftp://panel"}, "begins with http:// or https://"),
    ({"TASK_QUEUE": ""}, "at least 1 character"),
    ({"MIN_DAYS_AFTER": "-1"}, "greater than or equal to 0"),
    ({"MAX_DAYS_AFTER": "365001"}, "less than or equal to 365000"),
    ({"MAX_DAYS_AFTER": "0"}, "greater than or equal to 1"),
    ({"COOLDOWN_DAYS": "-1"}, "greater than or equal to 0"),
    ({"CODE_TTL_MINUTES": "0"}, "greater than or equal to 1"),
    ({"CONFIRMATION_WINDOW_MINUTES": "0"}, "greater than or equal to 1"),
    ({"ENGINE_TIMEOUT_SECONDS": "0"}, "greater than 0"),
    ({"ENGINE_TIMEOUT_SECONDS": "61"}, "less than or equal to 60"),
    ({"DATABASE_POOL": "0"}, "greater than or equal to 1"),
    ({"SMTP_PORT": "65536"}, "less than or equal to 65535"),
    ({"SMTP_TIMEOUT_SECONDS": "0"}, "greater than 0"),
    ({"MAILS_PER_SECOND": "0"}, "greater than 0"),
    ({"QUARANTINE_DAYS": "-1"}, "greater than or equal to 0"),
    ({"HOST_DRIVER": "imaginary"}, "'local'"),
]


@pytest.mark.parametrize(("different", "words"), WRONG, ids=[f"{next(iter(it))}" for it, _ in WRONG])
def test_what_is_wrong_is_said_without_what_was_set(
    monkeypatch: pytest.MonkeyPatch, different: dict[str, str], words: str
) -> None:
    set_all(monkeypatch, **different)
    with pytest.raises(ValidationError) as caught:
        load(WorkerSettings)
    assert words in str(caught.value)
    for secret in (*SECRETS, "short-secret"):
        assert secret not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "PROOF_KEY", "CODE_KEYS", "SMTP_HOST", "MAIL_FROM", "HOST_DIR"]
)
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    set_all(monkeypatch)
    monkeypatch.delenv(f"CHANGEOVER_{name}")
    with pytest.raises(ValidationError, match=name.lower()):
        load(WorkerSettings)


def test_no_tls_is_for_the_embedded_system_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, SMTP_TLS="none", EMBEDDED="true")
    assert load(WorkerSettings).smtp_tls == "none"


def test_the_panels_side_needs_no_secret_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGEOVER_DATABASE_URL", URL)
    monkeypatch.setenv("CHANGEOVER_PROOF_KEY", PROOF)
    assert load(Settings).proof_secret == PROOF.encode()


def test_settings_can_not_be_altered(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch)
    settings = load(Settings)
    with pytest.raises(ValidationError, match="frozen"):
        settings.task_queue = "other"  # type: ignore[misc]


def write_file(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"CHANGEOVER_{name}={value}" for name, value in ENVIRONMENT.items()]
    lines += ["TEMPORAL_ADDRESS=127.0.0.1:7999", "CHANGEOVER_TASK_QUEUE=a=b"]
    (folder / "changeover.env").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_with_nothing_set_the_embedded_systems_file_is_read(tmp_path: Path) -> None:
    write_file(tmp_path / "var")
    settings = load(WorkerSettings)
    assert settings.database_url == URL
    assert settings.task_queue == "a=b"
    assert settings.code_secret("2026-11") == CODE.encode()
    assert os.environ["TEMPORAL_ADDRESS"] == "127.0.0.1:7999"


def test_the_embedded_system_may_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "elsewhere")
    monkeypatch.setenv("CHANGEOVER_DIR", str(tmp_path / "elsewhere"))
    assert embedded_dir() == tmp_path / "elsewhere"
    assert load(Settings).database_url == URL


def test_without_an_embedded_system_it_is_said_what_to_do() -> None:
    assert embedded_dir({}) == Path("var")
    with pytest.raises(EmbeddedMissing, match=r"start the embedded system with `\./run up`"):
        load(Settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHANGEOVER_PROOF_KEY", PROOF),
        ("TEMPORAL_ADDRESS", "temporal.example:7233"),
        ("TEMPORAL_PROFILE", "production"),
    ],
)
def test_one_setting_and_the_embedded_system_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    write_file(tmp_path / "var")
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match="database_url"):
        load(Settings)


def write_secrets(folder: Path, **different: str) -> None:
    folder.mkdir()
    for name, value in (ENVIRONMENT | different).items():
        file = folder / f"CHANGEOVER_{name}"
        file.write_text(f"{value}\n", encoding="utf-8")
        file.chmod(0o400)


def test_every_setting_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secrets(tmp_path / "secrets")
    monkeypatch.setenv("CHANGEOVER_SECRETS_DIR", str(tmp_path / "secrets"))
    settings = load(WorkerSettings)
    assert settings.database_url == URL
    assert settings.code_secret("2026-11") == CODE.encode()
    assert settings.smtp_password is not None
    assert settings.smtp_password.get_secret_value() == PASSWORD
    assert secret_files.open_to_others(os.environ, VARIABLES) == []
    (tmp_path / "secrets" / "CHANGEOVER_PROOF_KEY").chmod(0o444)
    assert secret_files.open_to_others(os.environ, VARIABLES) == [tmp_path / "secrets/CHANGEOVER_PROOF_KEY"]


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secrets(tmp_path / "secrets")
    monkeypatch.setenv("CHANGEOVER_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("CHANGEOVER_SMTP_HOST", "other.example")
    assert load(WorkerSettings).smtp_host == "other.example"


def test_a_wrong_file_is_named_and_its_content_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_secrets(tmp_path / "secrets", PROOF_KEY="short-secret", CODE_KEYS='{"2026-11": "short-secret"}')
    monkeypatch.setenv("CHANGEOVER_SECRETS_DIR", str(tmp_path / "secrets"))
    with pytest.raises(ValidationError) as caught:
        load(WorkerSettings)
    told = mistakes(caught.value)
    assert f"CHANGEOVER_PROOF_KEY ({tmp_path}/secrets/CHANGEOVER_PROOF_KEY): " in told[0]
    assert "at least 32 characters" in told[0]
    assert f"({tmp_path}/secrets/CHANGEOVER_CODE_KEYS)" in told[1]
    assert "short-secret" not in "".join(told) + str(caught.value)


def test_what_is_no_json_is_named_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secrets(tmp_path / "secrets", CODE_KEYS='{"2026-11": "short-secret"')
    monkeypatch.setenv("CHANGEOVER_SECRETS_DIR", str(tmp_path / "secrets"))
    with pytest.raises(SettingsUnreadable, match="CHANGEOVER_CODE_KEYS") as caught:
        load(WorkerSettings)
    assert caught.value.__context__ is None
    assert "short-secret" not in str(caught.value)


@pytest.mark.parametrize("there", ["nothing", "a file", "a folder in the place of a file"])
def test_secrets_that_can_not_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    secrets = tmp_path / "secrets"
    if there == "a file":
        secrets.write_text("x")
    elif there != "nothing":
        (secrets / "CHANGEOVER_PROOF_KEY").mkdir(parents=True)
    monkeypatch.setenv("CHANGEOVER_SECRETS_DIR", str(secrets))
    with pytest.raises(SettingsUnreadable, match=re.escape(str(secrets))):
        load(Settings)


@pytest.mark.parametrize("alone", ["WORKER_DEPLOYMENT", "WORKER_BUILD_ID"])
def test_a_versioned_worker_needs_both_its_names(monkeypatch: pytest.MonkeyPatch, alone: str) -> None:
    set_all(monkeypatch, **{alone: "changeover"})
    with pytest.raises(ValidationError, match="worker_deployment and worker_build_id go together"):
        load(WorkerSettings)
