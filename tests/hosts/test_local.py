"""The local host in everyday use: what it creates, finds, limits and stops."""

# ruff: noqa: ASYNC240 - a test may wait for the files it looks at

import asyncio
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from changeover.hosts import (
    Contents,
    Host,
    HostRefused,
    HostUnavailable,
    Limits,
    LocalHost,
    ServerSpec,
    local,
    open_host,
    tree,
)
from changeover.hosts import folder as folders
from tests.hosts.conftest import SERVER
from tests.hosts.trees import count, names, snapshot


def settings_of(folder: Path) -> object:
    return json.loads((folder / "server.json").read_text())


async def test_a_server_that_never_was_is_not_found(host: LocalHost) -> None:
    assert await host.find(SERVER) is None


async def test_creation_writes_settings_and_a_first_world(
    host: LocalHost, spec: ServerSpec, folder: Path
) -> None:
    await host.create(spec)
    assert settings_of(folder) == {
        "name": "Île du Nord",
        "address": "192.0.2.7:27015",
        "game": "minecraft",
        "limits": {"slots": 20, "options": ["flexi_plus"]},
        "running": True,
    }
    assert names(folder) == ["backups", "data", "server.json"]
    assert "max-players=20\n" in (folder / "data" / "server.properties").read_text()
    assert (folder / "data" / "world.dat").stat().st_size > 0
    files, size = count(folder / "data")
    assert await host.find(SERVER) == Contents(running=True, data_files=files, data_bytes=size, backups=())


async def test_creation_repeated_changes_nothing(host: LocalHost, spec: ServerSpec, folder: Path) -> None:
    await host.create(spec)
    (folder / "data" / "mine.txt").write_text("built by hand")
    (folder / "data" / "world.dat").unlink()
    await host.apply_limits(SERVER, Limits(slots=32, options=()))
    before = snapshot(folder)
    await host.create(spec)
    await host.create(replace(spec, name="Renamed"))
    assert snapshot(folder) == before


async def test_creation_keeps_data_that_is_there_without_settings(
    host: LocalHost, spec: ServerSpec, folder: Path
) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "mine.txt").write_text("brought here by hand")
    await host.create(spec)
    assert names(folder / "data") == ["mine.txt"]
    assert (folder / "server.json").exists()


async def test_creation_goes_on_where_a_crash_left_it(
    host: LocalHost, spec: ServerSpec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for step in ("rename", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, crash)
            with pytest.raises(KeyboardInterrupt):
                await host.create(spec)
        assert not (folder / "server.json").exists()
    (folder / "data").mkdir(exist_ok=True)
    await host.create(spec)
    assert names(folder / "data") == ["server.properties", "world.dat"]
    await host.delete_data(SERVER)
    assert not folder.exists()


async def test_creation_never_mixes_its_files_with_data_that_came_meanwhile(
    host: LocalHost, spec: ServerSpec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upload_first(name: str, parent: int, content: bytes) -> None:
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / "mine.txt").write_text("uploaded")
        real_write(name, parent, content)

    real_write = tree.write
    with monkeypatch.context() as patch:
        patch.setattr(tree, "write", upload_first)
        with pytest.raises(HostUnavailable, match="ENOTEMPTY"):
            await host.create(spec)
    await host.create(spec)
    assert names(folder / "data") == ["mine.txt"]
    assert names(folder) == ["backups", "data", "server.json"]


@pytest.mark.parametrize("change", [{"address": "192.0.2.8:27015"}, {"game": "rust"}])
async def test_another_server_under_the_same_id_is_refused(
    host: LocalHost, spec: ServerSpec, folder: Path, change: dict[str, str]
) -> None:
    await host.create(spec)
    before = snapshot(folder)
    with pytest.raises(HostRefused, match="there already") as refused:
        await host.create(
            replace(spec, address=change.get("address", spec.address), game=change.get("game", spec.game))
        )
    assert refused.value.code == "server-conflict"
    assert snapshot(folder) == before


async def test_a_server_deleted_during_its_creation_is_tried_again(
    host: LocalHost, spec: ServerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "make_folder", lambda *_: None)
    with pytest.raises(HostUnavailable) as failed:
        await host.create(spec)
    assert failed.value.code == "server-vanished"


async def test_limits_are_applied_and_the_data_is_kept(
    host: LocalHost, spec: ServerSpec, folder: Path
) -> None:
    await host.create(spec)
    data = snapshot(folder / "data")
    for _ in range(2):
        await host.apply_limits(SERVER, Limits(slots=32, options=("mods",)))
    assert settings_of(folder) == {
        "name": "Île du Nord",
        "address": "192.0.2.7:27015",
        "game": "minecraft",
        "limits": {"slots": 32, "options": ["mods"]},
        "running": True,
    }
    assert snapshot(folder / "data") == data


async def test_limits_need_a_server(host: LocalHost, folder: Path) -> None:
    for _ in range(2):
        with pytest.raises(HostRefused, match="no server") as refused:
            await host.apply_limits(SERVER, Limits(slots=32, options=()))
        assert refused.value.code == "server-unknown"
        folder.mkdir(exist_ok=True)  # the second time: a folder without settings


async def test_a_stopped_server_stays_stopped(host: LocalHost, spec: ServerSpec) -> None:
    await host.create(spec)
    for _ in range(2):
        await host.stop(SERVER)
        contents = await host.find(SERVER)
        assert contents is not None
        assert not contents.running
    await host.apply_limits(SERVER, Limits(slots=32, options=()))
    contents = await host.find(SERVER)
    assert contents is not None
    assert not contents.running


async def test_a_folder_without_anything_is_an_empty_server(host: LocalHost, folder: Path) -> None:
    folder.mkdir()
    assert await host.find(SERVER) == Contents(running=False, data_files=0, data_bytes=0, backups=())
    await host.stop(SERVER)
    await host.delete_backup(SERVER, "any")
    assert names(folder) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "x"}', "\udcff"])
async def test_damaged_settings_are_refused_and_named(host: LocalHost, folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / "server.json").write_bytes(os.fsencode(content))
    with pytest.raises(HostRefused, match="can't be read") as refused:
        await host.find(SERVER)
    assert refused.value.code == "server-settings"
    assert SERVER in str(refused.value)


async def test_settings_that_are_a_pipe_do_not_block(host: LocalHost, folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "server.json")
    with pytest.raises(HostRefused):
        await host.find(SERVER)


async def test_a_root_that_is_not_there_never_means_deleted(tmp_path: Path, spec: ServerSpec) -> None:
    host = LocalHost(tmp_path / "not-mounted")
    for call in (
        host.find(SERVER),
        host.create(spec),
        host.stop(SERVER),
        host.delete_data(SERVER),
        host.release_address(SERVER, spec.address),
        host.check(),
    ):
        with pytest.raises(HostUnavailable, match="mount it, or create it") as failed:
            await call
        assert failed.value.code == "host-root"


async def test_check_writes_and_leaves_no_trace(host: LocalHost, root: Path) -> None:
    await host.check()
    assert names(root) == []


async def test_a_root_behind_a_link_is_the_owners_choice(
    tmp_path: Path, root: Path, spec: ServerSpec
) -> None:
    (tmp_path / "link").symlink_to(root)
    await LocalHost(tmp_path / "link").create(spec)
    assert (root / SERVER / "server.json").exists()


def test_the_settings_name_the_driver(root: Path) -> None:
    host: Host = open_host("local", root)
    assert isinstance(host, LocalHost)
    assert host.deletion_frees_address is False
    with pytest.raises(ValueError, match=r"no host driver 'pterodactil'; there is: local"):
        open_host("pterodactil", root)


def test_what_stands_in_a_folder_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("folder")
    os.mkfifo(tmp_path / "pipe")
    with tree.closing(tree.open_root(tmp_path)) as top:
        kinds = [tree.kind_of(name, top) for name in ("folder", "file", "link", "pipe", "nothing")]
    assert kinds == ["a folder", "a file", "a symbolic link", "a special file", None]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2024-05-01 #1.tar.gz", "2024-05-01 #1.tar.gz"),
        ("été\n50%", "%C3%A9t%C3%A9%0A50%25"),
        ("\udcff", "%FF"),
    ],
)
def test_a_backup_id_is_plain_text_and_leads_back_to_its_file(name: str, expected: str) -> None:
    assert folders.backup_id(name) == expected
    assert folders.backup_name(expected) == name


async def test_calls_that_hang_hold_up_neither_other_servers_nor_other_work(
    host: LocalHost, spec: ServerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.create(spec)
    mended = threading.Event()
    monkeypatch.setattr(local, "reach", lambda _name: mended.wait(60))
    hanging = [asyncio.create_task(host.delete_data(SERVER)) for _ in range(100)]
    try:
        async with asyncio.timeout(30):
            assert await host.find(SERVER) is not None
            assert await asyncio.to_thread(int, "7") == 7
    finally:
        mended.set()
    await asyncio.gather(*hanging)
    assert await host.find(SERVER) is None
