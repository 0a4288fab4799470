"""The worker as a process: what it needs to start, and how it ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import COMMAND, Up, clean_environment, running_up, wait_until

WORKER = [sys.executable, "-m", "worker"]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("worker") / "system") as system:
        yield system


def start(
    environ: dict[str, str], *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WORKER, *arguments],
        env=clean_environment() | environ,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_says_which_setting_is_wrong_and_never_its_value(up: Up) -> None:
    wrong = up.settings() | {"CHANGEOVER_PROOF_KEY": "too-short-a-key", "CHANGEOVER_SMTP_PORT": "99999"}
    refused = start(wrong)
    assert refused.returncode == 5
    assert "CHANGEOVER_PROOF_KEY" in refused.stderr
    assert "CHANGEOVER_SMTP_PORT" in refused.stderr
    assert "too-short-a-key" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_it_refuses_to_send_codes_in_clear_outside_the_embedded_mode(up: Up) -> None:
    refused = start(up.settings() | {"CHANGEOVER_EMBEDDED": "false"})
    assert refused.returncode == 5
    assert "starttls" in refused.stderr


def test_it_says_that_nothing_is_set(tmp_path: Path) -> None:
    refused = start({}, cwd=tmp_path)
    assert refused.returncode == 5
    assert "./run up" in refused.stderr


def test_it_says_that_the_schema_is_missing(up: Up, tmp_path: Path) -> None:
    empty = f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
    refused = start(up.settings() | {"CHANGEOVER_DATABASE_URL": empty})
    assert refused.returncode == 5
    assert "changeover setup" in refused.stderr


def test_it_says_that_the_catalogue_is_missing(up: Up, tmp_path: Path) -> None:
    environ = up.settings() | {"CHANGEOVER_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'bare.db'}"}
    done = subprocess.run(
        [COMMAND, "setup", "--json"], env=clean_environment() | environ, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["catalogue_version"] is None
    refused = start(environ)
    assert refused.returncode == 5
    assert "no catalogue" in refused.stderr


def test_it_says_that_temporal_does_not_answer(up: Up) -> None:
    refused = start(up.settings() | {"TEMPORAL_ADDRESS": "127.0.0.1:1"})
    assert refused.returncode == 4
    assert "TEMPORAL_ADDRESS" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_it_says_that_the_host_folder_is_missing(up: Up, tmp_path: Path) -> None:
    refused = start(up.settings() | {"CHANGEOVER_HOST_DIR": str(tmp_path / "nowhere")})
    assert refused.returncode == 5
    assert "nowhere" in refused.stderr


def test_its_check_names_what_is_wrong_and_what_is_well(up: Up) -> None:
    done = start(up.settings() | {"CHANGEOVER_SMTP_PORT": "1"}, "--check")
    lines = {line["check"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    assert [name for name, line in lines.items() if not line["ok"]] == ["mail"]
    assert set(lines) == {"keys", "host", "mail"}


def test_the_doctor_finds_nothing_wrong_with_a_running_system(up: Up) -> None:
    done = up.run("doctor", "--json", "--send-to", "olga@example.com", "--lang", "fr", account=None)
    lines = {line["check"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, lines
    assert all(line["ok"] for line in lines.values())
    assert "1 worker polls" in lines["workers"]["message"]
    assert any(
        "message d\N{RIGHT SINGLE QUOTATION MARK}essai" in mail for mail in up.mails("olga@example.com")
    )


def test_it_ends_well_on_sigterm(up: Up, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(WORKER, env=clean_environment() | up.settings(), stderr=output)
    wait_until(lambda: "ready" in log.read_text())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert "Traceback" not in log.read_text()


def test_setup_refuses_a_wrong_catalogue_with_the_place_and_changes_nothing(up: Up, tmp_path: Path) -> None:
    wrong = tmp_path / "catalogue.toml"
    wrong.write_text("[offers.one]\ngame = 'x'\nper_slot = 1.5\n")
    done = up.run("setup", "--catalogue", str(wrong), account=None)
    assert done.returncode == 2
    assert "catalogue.toml:3" in done.stderr
    assert up.json("setup", account=None)["catalogue_version"] is None


def test_setup_adds_addresses_once(up: Up, tmp_path: Path) -> None:
    file = tmp_path / "addresses.txt"
    file.write_text("192.0.2.1:27015  # the first\n\n192.0.2.2:27015\n")
    assert up.json("setup", "--addresses", str(file), account=None)["addresses_added"] == 2
    assert up.json("setup", "--addresses", str(file), account=None)["addresses_added"] == 0
    for wrong, said in ((b"192.0.2.3\n", "line 1"), (b"192.0.2.3:1 # \xe9\n", "UTF-8")):
        file.write_bytes(wrong)
        refused = up.run("setup", "--addresses", str(file), account=None)
        assert refused.returncode == 2
        assert said in refused.stderr
