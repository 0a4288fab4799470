"""Tracing is off unless it is asked for, and says what it lacks."""

import subprocess
import sys

import pytest

from tests.e2e.running import clean_environment

PARTS = (
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "opentelemetry.instrumentation",
    "temporalio.contrib.opentelemetry",
)
"""What traces; FastAPI imports the API package by itself where it is installed."""


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("program", ["worker", "starter.api.__main__", "starter.cli.main"])
def test_while_it_is_off_nothing_of_it_is_imported(program: str) -> None:
    done = python(
        f"import sys, {program}; from changeover.telemetry import tracing; assert tracing.plugins() == [];"
        f"print([name for name in sys.modules if name.startswith({PARTS})])"
    )
    assert done.stdout == "[]\n", done.stderr


def test_without_its_packages_it_says_what_to_install() -> None:
    done = python(
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from changeover.telemetry import tracing\n"
        "try:\n    tracing.start('x')\n"
        "except tracing.TracingMissing as missing:\n    print(missing, missing.__context__)"
    )
    assert "changeover[tracing]" in done.stdout, done.stderr
    assert done.stdout.endswith("None\n")
