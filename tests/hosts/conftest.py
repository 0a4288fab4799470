from collections.abc import Iterator
from pathlib import Path

import pytest

from changeover.hosts import LocalHost, ServerSpec
from tests.hosts.trees import snapshot

SERVER = "3f2b8c1e-5d4a-4e6f-8a7b-9c0d1e2f3a4b"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "host"
    path.mkdir()
    return path


@pytest.fixture
def host(root: Path) -> LocalHost:
    return LocalHost(root)


@pytest.fixture
def folder(root: Path) -> Path:
    """Where the server's folder is, or would be."""
    return root / SERVER


@pytest.fixture
def spec() -> ServerSpec:
    return ServerSpec(
        server_id=SERVER,
        name="Île du Nord",
        address="192.0.2.7:27015",
        game="minecraft",
        slots=20,
        options=("flexi_plus",),
    )


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A tree that nothing may touch, whatever the test does."""
    path = tmp_path / "outside"
    (path / "precious").mkdir(parents=True)
    (path / "precious" / "world.dat").write_bytes(b"another customer's world")
    (path / "note.txt").write_text("keep me")
    before = snapshot(path)
    yield path
    assert snapshot(path) == before
