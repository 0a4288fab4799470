"""Customers in bulk: as many as asked for, the same each time, each able to change."""

from datetime import UTC, datetime

import pytest

from changeover.domain.catalogue import Configuration
from changeover.storage import tables
from changeover.storage.catalogue_file import read_catalogue
from changeover.storage.database import Database
from starter.plan_changes import PlanChanges
from starter.seed_many import MOST_CUSTOMERS, MOST_SERVERS, OFFER, Customer, seed_many
from starter.setup import EXAMPLE
from tests.storage.rows import load_catalogue, rows_of, snapshot

NOW = datetime.now(UTC).replace(microsecond=0)


def customers(first: int, last: int) -> list[Customer]:
    return [Customer(number=number) for number in range(first, last + 1)]


async def test_seeding_again_adds_only_those_that_are_missing(database: Database) -> None:
    assert await seed_many(database, NOW, iter(customers(1, 1_001))) == 1_001
    before = await snapshot(database)
    assert await seed_many(database, NOW, iter(customers(1, 1_001))) == 0
    assert await snapshot(database) == before
    assert await seed_many(database, NOW, iter(customers(900, 1_011))) == 10
    assert len(await rows_of(database, tables.services)) == 1_011


async def test_a_customer_of_the_load_can_change(database: Database, facade: PlanChanges) -> None:
    await load_catalogue(database, read_catalogue(EXAMPLE))
    plain, with_marks = Customer(number=7), Customer(number=8, servers=3, marked=2)
    await seed_many(database, NOW, iter([plain, with_marks]))
    wanted = Configuration.of(OFFER, 24, (), 1)
    assert (await facade.quote(plain.account_id, plain.service_id, wanted)).blockers == ()
    quote = await facade.quote(
        with_marks.account_id, with_marks.service_id, Configuration.of(OFFER, 20, (), 1)
    )
    assert quote.blockers == ()
    assert {server.id for server in quote.destroys} == set(with_marks.marked_ids)
    assert (await facade.account(plain.email)).id == plain.account_id


def test_no_two_servers_share_an_address_and_all_of_them_are_addresses() -> None:
    ends = [1, 2, 3_799, 3_800, 3_801, MOST_CUSTOMERS - 1, MOST_CUSTOMERS]
    found = [
        Customer(number=number, servers=MOST_SERVERS).address(index)
        for number in ends
        for index in range(1, MOST_SERVERS + 1)
    ]
    assert len(set(found)) == len(found)
    for address in found:
        ip, _, port = address.rpartition(":")
        assert all(0 <= int(part) <= 255 for part in ip.split("."))
        assert 1024 <= int(port) <= 65_535


@pytest.mark.parametrize("wrong", [{"number": 0}, {"number": 1, "servers": 11}, {"number": 1, "marked": 1}])
def test_customers_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no such customer"):
        Customer(**wrong)
