"""The SQL of docs/integration.md makes what the page says, by a role that may do no more than it says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from changeover.domain.catalogue import Configuration
from changeover.domain.facts import Facts, Policy
from changeover.domain.quote import assess
from changeover.storage import services
from changeover.storage.catalogue import CatalogueReader
from changeover.storage.database import Database
from changeover.storage.tables import metadata
from starter.setup import EXAMPLE, add_addresses, load_catalogue

PAGE = Path(__file__).parents[2] / "docs/integration.md"
SERVICE = "5b1c0f0e-3d6e-4b53-9f0d-0d8f1c5e7a02"
ADDRESS = "198.51.100.7:27015"


def blocks(kind: str = "") -> list[str]:
    """Return the code blocks of a kind, as they stand in the page."""
    found: list[list[str]] = []
    inside: str | None = None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = line.removeprefix("```") if inside is None else None
            if inside == kind:
                found.append([])
        elif inside == kind:
            found[-1].append(line)
    return ["\n".join(lines) for lines in found]


@pytest.fixture
async def host(postgres_database: Database) -> AsyncIterator[Any]:
    """Connect as the role of the page, with the rights that it is given there."""
    url = postgres_database.url
    (rights,) = (block for block in blocks() if "CREATE ROLE" in block)
    connection = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        await connection.execute(rights.replace("DATABASE changeover", f'DATABASE "{url.database}"'))
        await connection.execute("SET ROLE host_panel")
        yield connection
        await connection.execute("RESET ROLE; DROP OWNED BY host_panel; DROP ROLE host_panel")
    finally:
        await connection.close()


async def looked_at(database: Database) -> tuple[Facts, list[str]]:
    """Return the facts of the service that was sold, and what stands in the way of more slots."""
    now = datetime.now(UTC)
    async with database.read() as connection:
        found = await services.facts_and_catalogue(connection, CatalogueReader(), SERVICE, now)
    assert found is not None
    facts, catalogue = found
    quote = assess(facts, Configuration.of("cs2-public", 24, (), 1), catalogue, Policy(), now)
    return facts, [blocker.code for blocker in quote.blockers]


async def test_a_service_that_is_sold_as_the_page_says_can_be_changed(
    postgres_database: Database, host: Any
) -> None:
    await load_catalogue(postgres_database, EXAMPLE)
    await add_addresses(postgres_database, [ADDRESS])
    sold, altered = blocks("sql")
    await host.execute(sold)
    facts, in_the_way = await looked_at(postgres_database)
    assert ([server.address for server in facts.servers], facts.free_addresses) == ([ADDRESS], 0)
    assert in_the_way == []
    await host.execute(altered)
    assert (await looked_at(postgres_database))[1] == ["recurring-payment-active"]


async def test_the_role_of_the_page_writes_nothing_that_is_ours_alone(host: Any) -> None:
    asked = "SELECT has_table_privilege($1, 'INSERT, UPDATE, DELETE, TRUNCATE')"
    writes = {name for name in metadata.tables if await host.fetchval(asked, name)}
    assert writes == {"accounts", "services", "servers", "addresses", "passes"}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await host.execute("DELETE FROM services")
