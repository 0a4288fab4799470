"""What must be there before the first change: the schema, a catalogue, addresses to give."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage import catalogue_file, schema
from changeover.storage.catalogue import CatalogueMissing, CatalogueReader, store_catalogue
from changeover.storage.database import Database
from changeover.storage.tables import addresses
from starter.api.keys import ApiKeys
from starter.seed import Seeded, seed
from starter.seed_many import Customer, seed_many

EXAMPLE = Path(catalogue_file.__file__).with_name("catalogue.example.toml")
_PARTS = re.compile(r"(?:(?P<v4>[0-9.]+)|\[(?P<v6>[0-9a-fA-F:.]+)\]):(?P<port>[0-9]{1,5})")
_LAST_PORT = 65_535


class AddressesInvalid(Exception):
    """A line of an address file isn't `ip:port`."""


async def prepare(database_url: str) -> None:
    """Bring the schema up to date, and load the shipped example when no catalogue is loaded."""
    await schema.upgrade(database_url)
    database = Database(database_url)
    try:
        async with database.read() as connection:
            await CatalogueReader().current(connection)
    except CatalogueMissing:
        await load_catalogue(database, EXAMPLE)
    finally:
        await database.close()


async def load_catalogue(database: Database, file: Path) -> int | None:
    """Check the file and make it the catalogue in force; None when it is already.

    Raises `CatalogueInvalid` with every mistake and its place; then nothing is changed.
    """
    new = catalogue_file.read_catalogue(file)
    try:
        async with database.read() as connection:
            present = await CatalogueReader().current(connection)
    except CatalogueMissing:
        present = {}
    catalogue_file.check_successor(present, new)
    return await database.write(lambda connection: store_catalogue(connection, new, datetime.now(UTC)))


def read_addresses(lines: Iterable[str]) -> list[str]:
    """Return the `ip:port` of each line, each once and in its one spelling. Raises `AddressesInvalid`.

    What follows a `#` is a remark.
    """
    wanted: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        text = line.split("#")[0].strip()
        address = _endpoint(text)
        if text and address is None:
            raise AddressesInvalid(
                f"line {number}: {text!r} is not an address like 203.0.113.7:27015 or [2001:db8::7]:27015, "
                f"with a port from 1 to {_LAST_PORT}"
            )
        if address is not None:
            wanted[address] = None
    return list(wanted)


def _endpoint(text: str) -> str | None:
    """Return the one spelling of `ip:port`, since each is given to a customer; None if the text is none."""
    parts = _PARTS.fullmatch(text)
    if parts is None or not 1 <= int(parts["port"]) <= _LAST_PORT:
        return None
    try:
        ip = str(IPv4Address(parts["v4"])) if parts["v4"] else f"[{IPv6Address(parts['v6'])}]"
    except AddressValueError:
        return None
    return f"{ip}:{int(parts['port'])}"


async def add_addresses(database: Database, lines: Iterable[str]) -> int:
    """Add `ip:port` lines to the pool and return how many were new. Raises `AddressesInvalid`."""
    wanted = read_addresses(lines)
    now = datetime.now(UTC)

    async def work(connection: AsyncConnection) -> int:
        present = set((await connection.execute(select(addresses.c.address))).scalars())
        rows = [
            {"address": address, "server_id": None, "free_from": now, "held": False}
            for address in wanted
            if address not in present
        ]
        if rows:
            await connection.execute(insert(addresses), rows)
        return len(rows)

    return await database.write(work)


async def free_addresses(database: Database) -> int:
    """Return how many addresses could be given now."""
    query = (
        select(func.count())
        .select_from(addresses)
        .where(addresses.c.server_id.is_(None), ~addresses.c.held, addresses.c.free_from <= datetime.now(UTC))
    )
    async with database.read() as connection:
        return int((await connection.execute(query)).scalar_one())


async def set_up(database_url: str, catalogue: Path | None, address_lines: list[str]) -> dict[str, Any]:
    """Do what `changeover setup` does, and return what was done."""
    await schema.upgrade(database_url)
    database = Database(database_url)
    try:
        version = await load_catalogue(database, catalogue) if catalogue is not None else None
        added = await add_addresses(database, address_lines)
        return {
            "schema": schema.expected_revision(),
            "catalogue_version": version,
            "addresses_added": added,
            "free_addresses": await free_addresses(database),
        }
    finally:
        await database.close()


async def seed_database(database_url: str, extra: int) -> Seeded:
    """Write the sample customers."""
    database = Database(database_url)
    try:
        return await seed(database, datetime.now(UTC), extra)
    finally:
        await database.close()


async def seed_load(database_url: str, services: int) -> int:
    """Write the customers 1 to `services` of a load; return how many were new."""
    database = Database(database_url)
    try:
        customers = (Customer(number=number) for number in range(1, services + 1))
        return await seed_many(database, datetime.now(UTC), customers)
    finally:
        await database.close()


async def new_api_key(database_url: str, name: str) -> str:
    """Make an API key and return it."""
    database = Database(database_url)
    try:
        return (await ApiKeys(database).create(name)).key
    finally:
        await database.close()
