"""The catalogue in force: read once per version, since a version never changes."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.catalogue import Catalogue, Offer, Option, Per
from changeover.domain.quote import digest
from changeover.storage.tables import catalogues, offer_options, offers

_identity = (catalogues.c.version, catalogues.c.checksum)
_newest = select(*_identity).order_by(catalogues.c.version.desc()).limit(1)

IN_FORCE = tuple(
    _newest.with_only_columns(column).scalar_subquery().label(f"catalogue_{column.name}")
    for column in _identity
)
"""Columns by which the rows of any query say which catalogue is in force, for `CatalogueReader.of`."""


class CatalogueMissing(Exception):
    """No catalogue was loaded yet: `changeover setup` loads one."""


class CatalogueRefused(Exception):
    """What was once sold is missing, or an offer has changed its game: nothing was stored."""


class CatalogueReader:
    """Gives the catalogue in force; keeps the versions it has read."""

    def __init__(self) -> None:
        self._versions: dict[tuple[int, str], Catalogue] = {}

    async def current(self, connection: AsyncConnection) -> Catalogue:
        """Return the newest version. Raises `CatalogueMissing` when there is none."""
        row = (await connection.execute(_newest)).one_or_none()
        return await self._version(connection, *(row or (None, None)))

    async def of(self, connection: AsyncConnection, row: Row[Any]) -> Catalogue:
        """Return what was the newest version when a row with the columns `IN_FORCE` was read.

        Raises `CatalogueMissing` when there was none.
        """
        return await self._version(connection, row.catalogue_version, row.catalogue_checksum)

    async def _version(
        self, connection: AsyncConnection, version: int | None, checksum: str | None
    ) -> Catalogue:
        if version is None or checksum is None:
            raise CatalogueMissing("no catalogue is loaded; run `changeover setup`")
        known = (version, checksum)
        if known not in self._versions:
            self._versions = {known: await _read(connection, version)}
        return self._versions[known]


async def store_catalogue(
    connection: AsyncConnection, catalogue: Mapping[str, Offer], now: datetime
) -> int | None:
    """Make `catalogue` the version in force and return its number; None when it is in force already.

    Raises `CatalogueRefused` with everything that services may still run on and that it lacks.
    """
    content = [
        asdict(offer) | {"names": dict(offer.names)}
        for offer in sorted(catalogue.values(), key=lambda offer: offer.code)
    ]
    checksum = digest(content)
    newest = select(catalogues).order_by(catalogues.c.version.desc()).limit(1)
    present = (await connection.execute(newest)).one_or_none()
    if present is not None and present.checksum == checksum:
        return None
    if present is not None:
        _refuse_loss(await _read(connection, present.version), catalogue)
    version = 1 if present is None else present.version + 1
    await connection.execute(insert(catalogues).values(version=version, loaded_at=now, checksum=checksum))
    await connection.execute(
        insert(offers),
        [
            {name: value for name, value in offer.items() if name != "options"}
            | {"catalogue_version": version}
            for offer in content
        ],
    )
    options = [
        option | {"catalogue_version": version, "offer_code": offer["code"]}
        for offer in content
        for option in offer["options"]
    ]
    if options:
        await connection.execute(insert(offer_options), options)
    return version


def _refuse_loss(present: Catalogue, following: Mapping[str, Offer]) -> None:
    lost = []
    for code, offer in present.items():
        kept = following.get(code)
        if kept is None:
            lost.append(f"the offer {code} is missing")
            continue
        if kept.game != offer.game:
            lost.append(f"the offer {code} was of the game {offer.game}, now {kept.game}")
        missing = [option.code for option in offer.options if kept.option(option.code) is None]
        lost += [f"the option {option} of offer {code} is missing" for option in missing]
    if lost:
        raise CatalogueRefused(f"{'; '.join(lost)}: withdraw with `on_sale = false`, never delete or move")


async def _read(connection: AsyncConnection, version: int) -> Catalogue:
    options: dict[str, list[Option]] = {}
    of_version = select(offer_options).where(offer_options.c.catalogue_version == version)
    for row in await connection.execute(of_version.order_by(offer_options.c.code)):
        option = Option(
            code=row.code, price=row.price, per=Per(row.per), visible=row.visible, names=row.names
        )
        options.setdefault(row.offer_code, []).append(option)
    return {
        row.code: Offer(
            code=row.code,
            game=row.game,
            base=row.base,
            per_slot=row.per_slot,
            min_slots=row.min_slots,
            max_slots=row.max_slots,
            slot_step=row.slot_step,
            most_servers=row.most_servers,
            options=tuple(options.get(row.code, ())),
            visible=row.visible,
            names=row.names,
        )
        for row in await connection.execute(
            select(offers).where(offers.c.catalogue_version == version).order_by(offers.c.code)
        )
    }
