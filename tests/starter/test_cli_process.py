"""The `changeover` program itself: light help, ends that leave nothing behind, no tracebacks."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from starter.cli.lazy import CUSTOMER
from tests.starter.conftest import SeededSystem

ALICE = "alice@example.com"
HEAVY = ("sqlalchemy", "temporalio", "rich", "pydantic", "babel", "fastapi", "asyncio")
ENGINE = ("temporalio", "workflows.plan_change", "workflows.messages", "google.protobuf", "cryptography")
SERVERS = ("fastapi", "uvicorn", "alembic", "jinja2")
_LOADED = """
import sys
from starter.cli.main import cli
heavy, *arguments = sys.argv[1:]
try:
    cli.main(arguments, prog_name="changeover")
finally:
    print("loaded", [name for name in heavy.split() if name in sys.modules])
"""
_QUOTE = ("quote", "--slots", "24")
_LOOKS: tuple[tuple[str, ...], ...] = (("services",), ("offers",), _QUOTE, ("history",), ("mark", "server-3"))


def changeover(seeded: SeededSystem, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "starter.cli.main", *arguments],
        env=os.environ | seeded.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def loaded(
    heavy: tuple[str, ...], *arguments: str, environ: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Run the command in a process of its own; return what it said, and which of `heavy` it imported."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, " ".join(heavy), *arguments],
        env=os.environ | (environ or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    *said, found = done.stdout.splitlines()
    return "\n".join(said) + done.stderr, found


@pytest.mark.parametrize(
    "arguments",
    [[], *([name] for name in CUSTOMER), ["ops"], ["ops", "skip"]],
    ids=lambda arguments: " ".join(arguments) or "changeover",
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    said, found = loaded(HEAVY, *arguments, "--help")
    assert found == "loaded []"
    assert "Usage: changeover" in said


@pytest.mark.parametrize("arguments", _LOOKS, ids=lambda arguments: arguments[0])
def test_what_the_database_answers_does_not_import_temporal_or_a_server(
    seeded: SeededSystem, arguments: tuple[str, ...]
) -> None:
    said, found = loaded((*ENGINE, *SERVERS), *arguments, "--account", ALICE, environ=seeded.environ)
    assert found == "loaded []"
    assert "Traceback" not in said


def test_a_request_does_import_them(seeded: SeededSystem) -> None:
    ask = ("request", "--slots", "24", "--yes", "--account", ALICE)
    _, found = loaded(ENGINE, *ask, environ=seeded.environ)
    assert found == f"loaded {list(ENGINE)}"


def test_an_answer_is_json_alone_on_stdout(seeded: SeededSystem) -> None:
    done = changeover(seeded, "services", "--account", ALICE, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["services"][0]["name"] == "Les Renards"


def test_a_refusal_goes_to_stderr_and_stdout_stays_empty(seeded: SeededSystem) -> None:
    done = changeover(seeded, "status", "--account", ALICE)
    assert (done.returncode, done.stdout) == (3, "")
    assert "Aucun changement d'offre" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_request_whose_engine_is_away_tells_its_key(seeded: SeededSystem) -> None:
    ask = ("request", "--account", ALICE, "--slots", "24", "--yes", "--key", "k", "--json")
    done = changeover(seeded, *ask)
    assert done.returncode == 4
    assert json.loads(done.stdout)["idempotency_key"] == "k"


def test_a_blocked_quote_ends_with_1(seeded: SeededSystem) -> None:
    done = changeover(seeded, "quote", "--account", "bruno@example.com", "--slots", "32")
    assert done.returncode == 1
    assert "\x1b[" not in done.stdout
