"""The doctor at the database: each thing broken for real."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from changeover.diagnosis import Finding, Status
from changeover.storage import findings, schema, tables
from changeover.storage.database import Database
from starter.doctor.of_database import FEW_ADDRESSES, OfDatabase
from tests.doctor.conftest import MakeSettings, finding_of
from tests.storage.rows import add_free_addresses, load_catalogue, rent, set_values
from tests.support.postgres import binaries_or_skip, running_postgres


def now() -> datetime:
    return datetime.now(UTC)


async def found(
    make_settings: MakeSettings, url: str, name: str, clock: Callable[[], datetime] = now
) -> Finding:
    settings = make_settings(database_url=url)
    database = Database(url)
    try:
        return await finding_of(OfDatabase(settings, database, clock).checks(), name)
    finally:
        await database.close()


async def test_all_is_well_with_a_database_that_was_set_up(
    make_settings: MakeSettings, database: Database, database_url: str
) -> None:
    await load_catalogue(database)
    await add_free_addresses(database, FEW_ADDRESSES)
    told = [
        await found(make_settings, database_url, name)
        for name in ("database", "catalogue", "addresses", "database-clock")
    ]
    assert [it.verdict.status for it in told] == [Status.OK] * 4
    assert schema.expected_revision() in told[0].verdict.message
    assert "version 1 is in force" in told[1].verdict.message
    assert "5 of 5 addresses are free, 0 are held back" in told[2].verdict.message


async def test_an_address_that_a_skipped_deletion_keeps_back_is_counted(
    make_settings: MakeSettings, database: Database, database_url: str
) -> None:
    """It stays its destroyed server's until there is evidence."""
    await load_catalogue(database)
    rented = await rent(database)
    await set_values(database, tables.addresses, rented.addresses[0], held=True)
    finding = await found(make_settings, database_url, "addresses")
    assert "1 are held back" in finding.verdict.message


async def test_an_old_schema_is_brought_up_by_setup(make_settings: MakeSettings, empty_url: str) -> None:
    await schema.upgrade(empty_url, "0001")
    finding = await found(make_settings, empty_url, "database")
    assert finding.is_wrong
    assert "has schema 0001" in finding.verdict.message
    assert "changeover setup" in finding.verdict.advice


async def test_a_newer_schema_needs_a_newer_program(
    make_settings: MakeSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "expected_revision", lambda: "0000")
    assert not (await found(make_settings, database_url, "database")).is_wrong  # of the same series
    monkeypatch.setattr(schema, "suits", lambda _present, _expected: False)
    finding = await found(make_settings, database_url, "database")
    assert finding.is_wrong
    assert "this program is too old" in finding.verdict.advice


async def test_an_empty_database_needs_a_setup(make_settings: MakeSettings, empty_url: str) -> None:
    await schema.upgrade(empty_url, "0001")
    assert (await found(make_settings, empty_url, "catalogue")).is_wrong


async def test_looking_for_a_database_makes_none(make_settings: MakeSettings, tmp_path: Path) -> None:
    file = tmp_path / "nowhere.db"
    for name in ("database", "catalogue", "addresses", "database-clock"):
        finding = await found(make_settings, f"sqlite+aiosqlite:///{file}", name)
        assert finding.verdict.message == "no answer (FileNotFoundError)"
    assert not file.exists()


async def test_no_catalogue_is_wrong(make_settings: MakeSettings, database_url: str) -> None:
    finding = await found(make_settings, database_url, "catalogue")
    assert (finding.is_wrong, finding.verdict.message) == (True, "no catalogue is loaded")


async def test_a_catalogue_with_nothing_on_sale_is_a_warning(
    make_settings: MakeSettings, database: Database, database_url: str
) -> None:
    await load_catalogue(database)
    await database.write(lambda it: it.execute(update(tables.offers).values(visible=False)))
    finding = await found(make_settings, database_url, "catalogue")
    assert finding.verdict.status is Status.WARNING
    assert "3 offers, 0 on sale" in finding.verdict.message


@pytest.mark.parametrize(
    ("count", "status"), [(0, Status.WRONG), (1, Status.WARNING), (FEW_ADDRESSES - 1, Status.WARNING)]
)
async def test_few_free_addresses_are_a_warning_and_none_is_wrong(
    make_settings: MakeSettings, database: Database, database_url: str, count: int, status: Status
) -> None:
    await add_free_addresses(database, count)
    finding = await found(make_settings, database_url, "addresses")
    assert finding.verdict.status is status
    assert "setup --addresses" in finding.verdict.advice


async def test_what_the_reconciler_found_is_a_warning_until_it_is_over(
    make_settings: MakeSettings, database: Database, database_url: str
) -> None:
    assert (await found(make_settings, database_url, "findings")).verdict.status is Status.OK
    noted = [findings.Noted(kind="server-missing", subject=it, detail="it is not there") for it in ("a", "b")]
    await database.write(lambda it: findings.note(it, noted, now()))
    finding = await found(make_settings, database_url, "findings")
    assert finding.verdict.status is Status.WARNING
    assert finding.verdict.message == "the reconciler found 2 server-missing"
    await database.write(lambda it: findings.end_unseen(it, ["server-missing"], now()))
    assert (await found(make_settings, database_url, "findings")).verdict.status is Status.OK


async def test_addresses_in_quarantine_are_not_free(
    make_settings: MakeSettings, database: Database, database_url: str
) -> None:
    await add_free_addresses(database, FEW_ADDRESSES, now() + timedelta(days=1))
    finding = await found(make_settings, database_url, "addresses")
    assert finding.verdict.message.startswith("0 of 5 addresses are free")


async def test_a_clock_that_is_off_is_seen(make_settings: MakeSettings, postgres_database: Database) -> None:
    url = postgres_database.url.render_as_string(hide_password=False)
    for off, status in ((5, Status.WARNING), (-600, Status.WRONG)):
        clock = lambda seconds=off: now() + timedelta(seconds=seconds)  # noqa: E731
        finding = await found(make_settings, url, "database-clock", clock)
        assert finding.verdict.status is status
        assert ("behind" if off > 0 else "ahead of") in finding.verdict.message
        assert "NTP" in finding.verdict.advice


async def test_a_stopped_postgresql_is_told_with_what_to_do_and_no_password(
    make_settings: MakeSettings,
) -> None:
    with running_postgres(binaries_or_skip()) as server:
        url = server.create_database("doctor").replace("changeover@", "changeover:hunter2@")
        await schema.upgrade(url)
        assert not (await found(make_settings, url, "database")).is_wrong
        server.stop_immediately()
        for name in ("database", "catalogue", "addresses", "database-clock"):
            finding = await found(make_settings, url, name)
            assert finding.is_wrong
            assert "start the database" in finding.verdict.advice
            assert "hunter2" not in str(finding.record)
