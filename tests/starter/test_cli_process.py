"""The `changeover` program itself: light help, ends that leave nothing behind, no tracebacks."""

import json
import os
import subprocess
import sys

import pytest

from starter.cli.lazy import CUSTOMER
from tests.starter.conftest import SeededSystem

HEAVY = ("sqlalchemy", "temporalio", "rich", "pydantic", "babel")
_LIGHT = f"""
import sys
from starter.cli.main import cli
try:
    cli.main(sys.argv[1:], prog_name="changeover")
finally:
    print("loaded", [name for name in {HEAVY!r} if name in sys.modules])
"""


def changeover(seeded: SeededSystem, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "starter.cli.main", *arguments],
        env=os.environ | seeded.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [[], *([name] for name in CUSTOMER), ["ops"], ["ops", "skip"]],
    ids=lambda arguments: " ".join(arguments) or "changeover",
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LIGHT, *arguments, "--help"], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "loaded []", done.stderr
    assert "Usage: changeover" in done.stdout


def test_an_answer_is_json_alone_on_stdout(seeded: SeededSystem) -> None:
    done = changeover(seeded, "services", "--account", "alice@example.com", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["services"][0]["name"] == "Les Renards"


def test_a_refusal_goes_to_stderr_and_stdout_stays_empty(seeded: SeededSystem) -> None:
    done = changeover(seeded, "status", "--account", "alice@example.com")
    assert (done.returncode, done.stdout) == (3, "")
    assert "Aucun changement d'offre" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_request_whose_engine_is_away_tells_its_key(seeded: SeededSystem) -> None:
    ask = ("request", "--account", "alice@example.com", "--slots", "24", "--yes", "--key", "k", "--json")
    done = changeover(seeded, *ask)
    assert done.returncode == 4
    assert json.loads(done.stdout)["idempotency_key"] == "k"


def test_a_blocked_quote_ends_with_1(seeded: SeededSystem) -> None:
    done = changeover(seeded, "quote", "--account", "bruno@example.com", "--slots", "32")
    assert done.returncode == 1
    assert "\x1b[" not in done.stdout
