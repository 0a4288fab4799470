"""`changeover doctor` as a command: exit codes, JSON, patience, and no secret said."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import COMMAND, clean_environment
from tests.starter.conftest import SeededSystem, _template, seeded

__all__ = ["_template", "seeded"]

SECRETS = ("hunter2", "c" * 40, "p" * 40, "olga@host.example")
ALL = {
    *("settings", "database", "catalogue", "addresses", "findings", "database-clock"),
    *("temporal", "namespace", "search-attributes", "workers", "reconciler", "temporal-clock"),
    *("keys", "host", "mail"),
}


def environ(tmp_path: Path, **different: str) -> dict[str, str]:
    settings = {
        "CHANGEOVER_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'nowhere.db'}",
        "CHANGEOVER_PROOF_KEY": "p" * 40,
        "CHANGEOVER_CODE_KEYS": json.dumps({"k1": "c" * 40}),
        "CHANGEOVER_CODE_KEY_ID": "k1",
        "CHANGEOVER_SMTP_HOST": "127.0.0.1",
        "CHANGEOVER_SMTP_PORT": "1",
        "CHANGEOVER_SMTP_USERNAME": "mailer",
        "CHANGEOVER_SMTP_PASSWORD": "hunter2",
        "CHANGEOVER_MAIL_FROM": "no-reply@host.example",
        "CHANGEOVER_HOST_DIR": str(tmp_path),
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
    }
    return clean_environment() | settings | different


def doctor(environ: dict[str, str], *arguments: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Run it; return the exit code, its findings by check, and all that it said."""
    done = subprocess.run(
        [COMMAND, "doctor", "--json", *arguments], env=environ, capture_output=True, text=True, check=False
    )
    found = {line["check"]: line for line in map(json.loads, done.stdout.splitlines())}
    return done.returncode, found, done.stdout + done.stderr


@contextmanager
def silent() -> Iterator[int]:
    """Take connections and never say a word; give the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield int(listening.getsockname()[1])


def test_it_ends_soon_when_nothing_answers_and_says_so_of_each(tmp_path: Path) -> None:
    with ExitStack() as stack:
        database, temporal, mail = (stack.enter_context(silent()) for _ in range(3))
        hanging = environ(
            tmp_path,
            CHANGEOVER_DATABASE_URL=f"postgresql+asyncpg://changeover:hunter2@127.0.0.1:{database}/x",
            TEMPORAL_ADDRESS=f"127.0.0.1:{temporal}",
            CHANGEOVER_SMTP_PORT=str(mail),
        )
        began = time.monotonic()
        code, found, said = doctor(hanging, "--send-to", "olga@host.example")
        took = time.monotonic() - began
    assert code == 5
    assert set(found) == ALL
    assert {name for name, it in found.items() if it["ok"]} == {"settings", "host"}
    assert all(it["advice"] for it in found.values() if not it["ok"])
    assert not any(secret in said for secret in SECRETS)
    assert found["database"]["message"] == "no answer within 8 s"
    assert took < 45, "about eleven seconds on a machine that has nothing else to do"


def test_wrong_settings_are_named_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    wrong = environ(tmp_path, CHANGEOVER_SMTP_PORT="99999", CHANGEOVER_MAILS_PER_SECOND="0")
    code, found, said = doctor(wrong)
    assert code == 5
    assert set(found) == ALL
    for name in ("CHANGEOVER_SMTP_PORT", "CHANGEOVER_MAILS_PER_SECOND"):
        assert name in found["settings"]["message"]
        assert name in found["mail"]["message"]
    assert found["database"]["message"] == "no answer (FileNotFoundError)"
    assert not any(secret in said for secret in SECRETS)


@pytest.mark.parametrize("name", ["CHANGEOVER_DATABASE_URL", "CHANGEOVER_PROOF_KEY"])
def test_with_nothing_to_look_at_only_the_settings_are_judged(tmp_path: Path, name: str) -> None:
    code, found, _ = doctor(environ(tmp_path, **{name: "no"}))
    assert (code, set(found)) == (5, {"settings"})
    assert name in found["settings"]["message"]


def test_the_screen_says_what_to_do(seeded: SeededSystem) -> None:
    told = seeded.run("doctor")
    assert told.exit_code == 5
    assert "ok      catalogue: version 1 is in force" in told.stdout
    assert "wrong   temporal: no answer" in told.stdout
    assert "        -> start Temporal" in told.stdout
