"""A PostgreSQL that comes or goes is away, not a defect of ours: what callers are told is to try again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from changeover.storage.database import Database

_REFUSES_TLS = b"N"
_TLS_ASKED = (80877103).to_bytes(4, "big")


@asynccontextmanager
async def refusing(sqlstate: str) -> AsyncIterator[str]:
    """Run a server that speaks just enough of PostgreSQL's protocol to refuse with `sqlstate`."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(8)
        if asked[4:] == _TLS_ASKED:
            writer.write(_REFUSES_TLS)
            await reader.readexactly(8)
        fields = b"".join(
            kind + value + b"\0"
            for kind, value in ((b"S", b"FATAL"), (b"V", b"FATAL"), (b"C", sqlstate.encode()), (b"M", b"no"))
        )
        writer.write(b"E" + (len(fields) + 5).to_bytes(4, "big") + fields + b"\0")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    try:
        yield f"postgresql+asyncpg://changeover@127.0.0.1:{server.sockets[0].getsockname()[1]}/changeover"
    finally:
        server.close()


@pytest.mark.parametrize("sqlstate", ["57P01", "57P02", "57P03", "53300", "08003", "08006"])
async def test_a_server_that_starts_stops_or_is_full_is_away(sqlstate: str) -> None:
    async with refusing(sqlstate) as url:
        database = Database(url)
        with pytest.raises(OperationalError):
            async with database.read() as connection:
                await connection.execute(text("SELECT 1"))
        with pytest.raises(OperationalError):
            await database.write(lambda connection: connection.execute(text("SELECT 1")))
        await database.close()
