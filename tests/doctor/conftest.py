"""Settings of a worker on a database of the test's own, and what one check finds."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from changeover.diagnosis import Check, Finding
from changeover.settings import WorkerSettings
from tests.storage.databases import (
    database,
    database_url,
    empty_url,
    postgres_database,
    server,
    sqlite_database,
)

__all__ = ["database", "database_url", "empty_url", "postgres_database", "server", "sqlite_database"]

MakeSettings = Callable[..., WorkerSettings]


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Return a way to make settings; what is given stands above what works."""

    def make(**given: Any) -> WorkerSettings:
        host_dir = tmp_path / "hosts"
        host_dir.mkdir(exist_ok=True)
        values: dict[str, Any] = {
            "embedded": True,
            "database_url": f"sqlite+aiosqlite:///{tmp_path / 'changeover.db'}",
            "proof_key": "p" * 40,
            "code_keys": {"k1": "c" * 40},
            "code_key_id": "k1",
            "smtp_host": "127.0.0.1",
            "smtp_port": 1,
            "smtp_tls": "none",
            "mail_from": "no-reply@host.example",
            "host_dir": host_dir,
        }
        return WorkerSettings(**values | given)

    return make


async def finding_of(checks: list[Check], name: str) -> Finding:
    """Return what the check of this name finds."""
    (check,) = [check for check in checks if check.name == name]
    return await check.finding()


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own, its file, and servers with certificates that end when one says."""

    ca: trustme.CA
    file: Path

    def server(self, valid: timedelta) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ends_at = datetime.now(UTC) + valid
        self.ca.issue_cert("127.0.0.1", not_after=ends_at).configure_cert(context)
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return Authority(ca, file)
