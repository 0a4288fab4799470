"""The catalogue in force: versions that are never altered, and only the newest is read."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from changeover.domain.catalogue import Catalogue
from changeover.domain.facts import Facts
from changeover.storage import catalogue_file
from changeover.storage.catalogue import CatalogueMissing, CatalogueReader, CatalogueRefused
from changeover.storage.database import Database
from changeover.storage.services import facts_and_catalogue
from changeover.storage.tables import catalogues, offer_options, offers
from tests.storage.rows import BLOCKS, CATALOGUE, CLASSIC, T0, load_catalogue, rent, rows_of


async def current(database: Database, reader: CatalogueReader) -> Catalogue:
    async with database.read() as connection:
        return await reader.current(connection)


def priced(per_slot: int) -> Catalogue:
    return {**CATALOGUE, "blocks": replace(BLOCKS, per_slot=per_slot)}


async def test_without_a_catalogue_the_reader_says_what_to_do(database: Database) -> None:
    with pytest.raises(CatalogueMissing, match="changeover setup"):
        await current(database, CatalogueReader())


async def test_what_was_stored_is_read_back_whole(database: Database) -> None:
    assert await load_catalogue(database) == 1
    back = await current(database, CatalogueReader())
    assert back == CATALOGUE
    assert {code: offer.names for code, offer in back.items()} == {
        code: offer.names for code, offer in CATALOGUE.items()
    }
    assert back["blocks"].options[0].names == {"fr": "Sauvegardes", "en": "Backups"}


async def test_the_example_catalogue_survives_the_tables(database: Database) -> None:
    example = Path(catalogue_file.__file__).with_name("catalogue.example.toml")
    catalogue = catalogue_file.read_catalogue(example)
    await load_catalogue(database, catalogue)
    assert await current(database, CatalogueReader()) == catalogue


async def test_the_same_catalogue_twice_is_one_version(database: Database) -> None:
    assert await load_catalogue(database) == 1
    assert await load_catalogue(database, dict(reversed(list(CATALOGUE.items())))) is None
    assert len(await rows_of(database, catalogues)) == 1


async def test_new_prices_are_a_new_version_and_only_the_newest_is_read(database: Database) -> None:
    reader = CatalogueReader()
    await load_catalogue(database)
    assert (await current(database, reader))["blocks"].per_slot == 100
    assert await load_catalogue(database, priced(120)) == 2
    assert (await current(database, reader))["blocks"].per_slot == 120
    assert await load_catalogue(database) == 3  # the old prices again are a version of their own
    assert (await current(database, reader))["blocks"].per_slot == 100
    assert [row["version"] for row in await rows_of(database, catalogues)] == [1, 2, 3]
    assert len(await rows_of(database, offers, code="blocks")) == 3
    assert len(await rows_of(database, offer_options)) == 6


async def test_a_new_name_is_a_new_version(database: Database) -> None:
    await load_catalogue(database)
    renamed = replace(CLASSIC, names={"fr": "Classique", "en": "Classic"})
    assert await load_catalogue(database, {**CATALOGUE, "classic": renamed}) == 2
    assert (await current(database, CatalogueReader()))["classic"].names["fr"] == "Classique"


async def test_a_version_is_read_once_and_its_number_every_time(sqlite_database: Database) -> None:
    reader = CatalogueReader()
    await load_catalogue(sqlite_database)
    await current(sqlite_database, reader)
    statements: list[str] = []
    event.listen(
        sqlite_database._reader.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_rest: statements.append(statement),
    )
    await current(sqlite_database, reader)
    assert [statement for statement in statements if "FROM offers" in statement] == []
    assert len([statement for statement in statements if "FROM catalogues" in statement]) == 1


async def test_one_reader_never_mixes_two_databases_up(
    sqlite_database: Database, postgres_database: Database
) -> None:
    reader = CatalogueReader()
    await load_catalogue(sqlite_database, priced(110))
    await load_catalogue(postgres_database, priced(130))
    for _ in range(2):
        assert (await current(sqlite_database, reader))["blocks"].per_slot == 110
        assert (await current(postgres_database, reader))["blocks"].per_slot == 130


async def test_the_facts_come_with_the_catalogue_in_force_as_it_is_then(database: Database) -> None:
    reader, rented = CatalogueReader(), await rent(database)

    async def found() -> tuple[Facts, Catalogue]:
        async with database.read() as connection:
            both = await facts_and_catalogue(connection, reader, rented.service_id, T0)
        assert both is not None
        return both

    with pytest.raises(CatalogueMissing, match="changeover setup"):
        await found()
    for catalogue in (CATALOGUE, priced(120)):
        await load_catalogue(database, catalogue)
        facts, in_force = await found()
        assert (facts.service_id, in_force) == (rented.service_id, catalogue)


async def test_two_readers_in_two_processes_see_the_same_version(database: Database) -> None:
    panel, worker = CatalogueReader(), CatalogueReader()
    await load_catalogue(database)
    await current(database, panel)
    await load_catalogue(database, priced(140))
    assert (await current(database, worker)) == (await current(database, panel)) == priced(140)


WITHOUT_AN_OFFER = {code: offer for code, offer in CATALOGUE.items() if code != "classic"}
WITHOUT_AN_OPTION = {**CATALOGUE, "blocks": replace(BLOCKS, options=BLOCKS.options[1:])}
ANOTHER_GAME = {**CATALOGUE, "classic": replace(CLASSIC, game="rust")}


@pytest.mark.parametrize(
    ("catalogue", "words"),
    [
        (WITHOUT_AN_OFFER, "offer classic is missing"),
        (WITHOUT_AN_OPTION, "option backups of offer blocks is missing"),
        (ANOTHER_GAME, "offer classic was of the game minecraft"),
    ],
)
async def test_what_was_sold_once_is_never_deleted(
    database: Database, catalogue: Catalogue, words: str
) -> None:
    await load_catalogue(database)
    with pytest.raises(CatalogueRefused, match=words):
        await load_catalogue(database, catalogue)
    assert await current(database, CatalogueReader()) == CATALOGUE


async def test_an_offer_is_withdrawn_by_its_visibility(database: Database) -> None:
    await load_catalogue(database)
    withdrawn = {**CATALOGUE, "classic": replace(CLASSIC, visible=False)}
    assert await load_catalogue(database, withdrawn) == 2
    assert not (await current(database, CatalogueReader()))["classic"].visible
