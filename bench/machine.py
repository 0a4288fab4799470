"""What the figures were measured on."""

import importlib.metadata
import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psutil

from starter.embedded import temporal_server
from tests.support.postgres import find_binaries


def describe() -> dict[str, str]:
    """Return the machine, its load at this moment, and the versions of what is measured."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GB",
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Temporal": _output([str(temporal_server.executable()), "--version"]),
        "temporalio": importlib.metadata.version("temporalio"),
        "SQLAlchemy": importlib.metadata.version("sqlalchemy"),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": _postgresql(),
        "Changeover": importlib.metadata.version("changeover"),
        "commit": _output(["git", "describe", "--always", "--dirty"]),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _postgresql() -> str:
    binaries = find_binaries()
    return _output([str(binaries / "postgres"), "--version"]) if binaries else "not installed"


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"
