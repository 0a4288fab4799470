"""The commands of docs/operations/backup.md put a database back so that the next release can migrate it."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from changeover.storage import schema
from tests.support.postgres import Postgres, binaries_or_skip, running_postgres

PAGE = Path(__file__).parents[2] / "docs/operations/backup.md"
ROLE = "changeover_service"
BEFORE_THE_NEXT_RELEASE = "0004"


@pytest.fixture
def server() -> Iterator[Postgres]:
    with running_postgres(binaries_or_skip()) as postgres:
        yield postgres


def commands(beginning: str) -> list[str]:
    """Return the lines of the page that begin so, without their comments."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [re.split(r"\s+#", line)[0] for line in lines if line.startswith(beginning)]


def type_in(server: Postgres, line: str, folder: Path) -> None:
    environ = {
        "PATH": f"{server.binaries}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "changeover",
        "PGDATABASE": "postgres",
        "DATABASE": f"postgresql://{ROLE}@127.0.0.1:{server.port}/changeover",
    }
    subprocess.run(["bash", "-euc", line], cwd=folder, env=environ, check=True)


async def one(server: Postgres, query: str) -> object:
    connection = await asyncpg.connect(f"postgresql://{ROLE}@127.0.0.1:{server.port}/changeover")
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_database_that_was_put_back_can_be_migrated(server: Postgres, tmp_path: Path) -> None:
    url = server.url("changeover").replace("changeover@", f"{ROLE}@")
    type_in(server, f"createuser {ROLE} && createdb --owner {ROLE} changeover", tmp_path)
    await schema.upgrade(url, BEFORE_THE_NEXT_RELEASE)
    await one(server, "INSERT INTO accounts (id, email, language, created_at) VALUES ('1', '', 'fr', now())")
    (dump,) = commands("pg_dump ")
    type_in(server, f"{dump} && mv *.dump FILE.dump", tmp_path)
    put_back = commands("sudo -u postgres ")
    assert [line.split()[3] for line in put_back] == ["dropdb", "createdb", "pg_restore"]
    for line in put_back:
        type_in(server, line.removeprefix("sudo -u postgres "), tmp_path)
    await schema.upgrade(url)
    assert await schema.present_revision(url) == schema.expected_revision()
    assert await one(server, "SELECT count(*) FROM accounts") == 1


def test_containers_get_the_same_commands() -> None:
    in_container = {
        re.sub(r" -U postgres", "", line.removeprefix("docker compose exec -T postgres "))
        for line in commands("docker compose exec -T postgres ")
    }
    by_systemd = {line.removeprefix("sudo -u postgres ") for line in commands("sudo -u postgres ")}
    assert by_systemd < in_container
