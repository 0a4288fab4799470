"""What a worker answers at its own address."""

import socket
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from changeover.storage.database import Database
from changeover.telemetry.listener import CannotListen, listening
from changeover.telemetry.probes import Probes


class Surroundings:
    """What a worker needs, to be broken part by part."""

    def __init__(self, database: Database) -> None:
        self.registry = CollectorRegistry()
        self.temporal_answers = True
        self.serving = "ok"
        self.probes = Probes(
            database, self.registry, self._temporal, needs_temporal=True, serving=lambda: self.serving
        )

    async def _temporal(self) -> bool:
        return self.temporal_answers

    async def figures(self) -> bytes:
        return generate_latest(self.registry)


async def test_it_is_ready_when_all_is_well_and_says_which_part_is_wrong(sqlite_database: Database) -> None:
    around = Surroundings(sqlite_database)
    async with (
        listening("127.0.0.1:0", around.probes, around.figures) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        assert (await client.get("/livez")).json() == {"live": True}
        well = await client.get("/readyz")
        parts = {"database": "ok", "schema": "ok", "temporal": "ok", "workers": "ok"}
        assert (well.status_code, well.json()) == (200, {"ready": True} | parts)
        around.temporal_answers = False
        away = await client.get("/readyz")
        assert (away.status_code, away.json()) == (503, {"ready": False} | parts | {"temporal": "away"})
        around.temporal_answers, around.serving = True, "stopping"
        stopping = await client.get("/readyz")
        assert (stopping.status_code, stopping.json()["workers"]) == (503, "stopping")
        assert (await client.get("/livez")).status_code == 200
        figures = (await client.get("/metrics")).text
        assert 'changeover_ready{part="workers"} 0.0' in figures
        assert 'changeover_ready{part="database"} 1.0' in figures


async def test_a_database_without_a_schema_is_not_ready(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}")
    found = await Surroundings(database).probes.look()
    await database.close()
    assert not found.ready
    assert found.parts["database"] == "away"


async def test_an_address_that_is_taken_is_told_with_its_setting(sqlite_database: Database) -> None:
    around = Surroundings(sqlite_database)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(CannotListen, match=f"CHANGEOVER_WORKER_LISTEN: {address}"):
            async with listening(address, around.probes, around.figures):
                pytest.fail("it listens where something else does")
