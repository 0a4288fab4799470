"""Seeding: a customer for every situation, the same however often, and no address that is two servers'."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from changeover.hosts.sample import SampleServer, create_samples
from changeover.storage import catalogue_file, tables
from changeover.storage.database import Database
from starter import seed
from starter.plan_changes import PlanChanges
from tests.storage.rows import load_catalogue, rows_of, snapshot

NOW = datetime.now(UTC).replace(microsecond=0)


async def assert_sound(database: Database) -> None:
    servers = {row["id"]: row["address"] for row in await rows_of(database, tables.servers)}
    owned = {row["server_id"]: row["address"] for row in await rows_of(database, tables.addresses)}
    owned.pop(None, None)
    assert owned == servers


async def test_seeding_twice_changes_nothing(database: Database) -> None:
    first = await seed.seed(database, NOW)
    before = await snapshot(database)
    again = await seed.seed(database, NOW)
    assert again.accounts == first.accounts
    assert await snapshot(database) == before
    await assert_sound(database)
    assert len(await rows_of(database, tables.addresses, server_id=None)) == 40


async def test_more_customers_can_come_later(database: Database) -> None:
    await seed.seed(database, NOW)
    await seed.seed(database, NOW, extra=30)
    await assert_sound(database)
    assert len(await rows_of(database, tables.accounts)) == len(seed.SITUATIONS) + 30
    assert len(await rows_of(database, tables.addresses, server_id=None)) == 40


EXPECTED = {
    "alice": set(),
    "bruno": {"insufficient-days"},
    "chloe": {"change-too-soon"},
    "david": set(),
    "emma": set(),
    "farid": {"recurring-payment-active"},
    "grace": {"service-expired", "insufficient-days"},
    "hugo": {"servers-marked-mismatch"},
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
async def test_every_customer_is_in_the_situation_of_the_name(
    database: Database, facade: PlanChanges, name: str
) -> None:
    example = Path(catalogue_file.__file__).with_name("catalogue.example.toml")
    await load_catalogue(database, catalogue_file.read_catalogue(example))
    await seed.seed(database, NOW)
    account = await facade.account(f"{name}@example.com")
    (service,) = await facade.services(account.id)
    slots = 32 if name == "bruno" else 24
    present = service.configuration
    wanted = type(present).of(present.offer, slots, present.options, present.server_count)
    quote = await facade.quote(account.id, service.id, wanted)
    assert {blocker.code for blocker in quote.blockers} == EXPECTED[name]
    assert quote.spends_pass == (name == "emma")


async def test_the_host_gets_every_server(database: Database, tmp_path: Path) -> None:
    seeded = await seed.seed(database, NOW, extra=2)
    samples = TypeAdapter(list[SampleServer]).validate_python(seeded.servers)
    assert await create_samples(samples[:3], tmp_path) == 3
    rows = {row["id"]: (row["name"], row["address"]) for row in await rows_of(database, tables.servers)}
    assert {sample.server_id: (sample.name, sample.address) for sample in samples} == rows
