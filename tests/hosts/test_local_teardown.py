"""Destroying for good: nothing of the server is left, and nothing else is touched."""

# ruff: noqa: ASYNC240 - a test may wait for the files it looks at

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changeover.hosts import HostRefused, HostUnavailable, LocalHost, ServerSpec, tree
from tests.hosts.conftest import SERVER
from tests.hosts.trees import Tree, count, names, plant, snapshot

ADDRESS = "192.0.2.7:27015"


async def tear_down(host: LocalHost, times: int) -> None:
    """The steps of a teardown, each so many times."""
    contents = await host.find(SERVER)
    backups = contents.backups if contents else ()
    for _ in range(times):
        await host.stop(SERVER)
    for backup in backups:
        for _ in range(times):
            await host.delete_backup(SERVER, backup.id)
    for _ in range(times):
        await host.delete_data(SERVER)
        assert await host.find(SERVER) is None
    for _ in range(times):
        await host.release_address(SERVER, ADDRESS)


odd_names = [b"-rf", b"new\nline", b"\xff\xfe", b"...", b" ", b"~", b"%2F", b"server.json", b"data"]
file_names = (
    st.one_of(st.sampled_from(odd_names), st.binary(min_size=1, max_size=20))
    .map(lambda raw: os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"_")))
    .filter(lambda name: name not in {".", ".."})
)
leaves = st.one_of(st.binary(max_size=200), st.none())
trees: st.SearchStrategy[Tree] = st.recursive(
    st.dictionaries(file_names, leaves, max_size=4),
    lambda inner: st.dictionaries(file_names, st.one_of(inner, leaves), max_size=4),
    max_leaves=12,
)


def has_no_link_as_backup(backups: Tree) -> bool:
    """Links inside a backup are fine; a backup that is a link is refused (`test_local_attacks`)."""
    return None not in backups.values()


backup_trees = trees.filter(has_no_link_as_backup)


async def claim(host: LocalHost, folder: Path, times: int) -> None:
    contents = await host.find(SERVER)
    assert contents is not None
    assert (contents.data_files, contents.data_bytes) == count(folder / "data")
    assert len(contents.backups) == len(names(folder / "backups"))
    total = sum(backup.files for backup in contents.backups), sum(backup.bytes for backup in contents.backups)
    assert total == count(folder / "backups")
    assert all(backup.id.isascii() and backup.id.isprintable() for backup in contents.backups)
    for _ in range(times):
        await tear_down(host, times)


@settings(max_examples=120, deadline=None)
@given(data=trees, backups=backup_trees, rest=trees, times=st.integers(1, 2))
def test_a_teardown_leaves_nothing_inside_and_all_outside(
    data: Tree, backups: Tree, rest: Tree, times: int
) -> None:
    top = Path(tempfile.mkdtemp())
    try:
        outside = top / "outside"
        (outside / "precious").mkdir(parents=True)
        (outside / "precious" / "world.dat").write_bytes(b"another customer's world")
        before = snapshot(outside)
        root = top / "host"
        folder = root / SERVER
        plant(folder / "data", data, outside)
        plant(folder / "backups", backups, outside / "precious")
        plant(folder / "logs", rest, outside)
        (root / "neighbour").mkdir()
        asyncio.run(claim(LocalHost(root), folder, times))
        assert names(root) == ["neighbour"]
        assert snapshot(outside) == before
    finally:
        shutil.rmtree(top)


async def test_destroying_what_never_was_is_harmless(host: LocalHost, root: Path) -> None:
    for _ in range(2):
        await host.stop(SERVER)
        await host.delete_backup(SERVER, "monday.tar")
        await host.delete_data(SERVER)
        await host.release_address(SERVER, ADDRESS)
    assert names(root) == []


async def test_a_backup_is_a_file_or_a_folder(host: LocalHost, spec: ServerSpec, folder: Path) -> None:
    await host.create(spec)
    (folder / "backups" / "monday.tar").write_bytes(b"x" * 300)
    (folder / "backups" / "friday" / "world").mkdir(parents=True)
    (folder / "backups" / "friday" / "world" / "level.dat").write_bytes(b"y" * 20)
    contents = await host.find(SERVER)
    assert contents is not None
    assert [(one.id, one.files, one.bytes) for one in contents.backups] == [
        ("friday", 1, 20),
        ("monday.tar", 1, 300),
    ]
    await host.delete_backup(SERVER, "friday")
    assert names(folder / "backups") == ["monday.tar"]


async def test_data_stays_while_a_backup_remains(host: LocalHost, spec: ServerSpec, folder: Path) -> None:
    await host.create(spec)
    (folder / "backups" / "monday.tar").touch()
    before = snapshot(folder)
    with pytest.raises(HostRefused, match="delete each of them") as refused:
        await host.delete_data(SERVER)
    assert refused.value.code == "backups-remain"
    assert snapshot(folder) == before


async def test_a_backup_made_during_the_deletion_is_not_lost(
    host: LocalHost, spec: ServerSpec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.create(spec)

    def back_up_and_empty(fd: int) -> None:
        (folder / "backups" / "late.tar").write_bytes(b"just made")
        real_empty(fd)

    real_empty = tree.empty
    monkeypatch.setattr(tree, "empty", back_up_and_empty)
    with pytest.raises(HostRefused) as refused:
        await host.delete_data(SERVER)
    assert refused.value.code == "backups-remain"
    assert (folder / "backups" / "late.tar").read_bytes() == b"just made"


async def test_an_address_is_kept_while_anything_stands_there(
    host: LocalHost, spec: ServerSpec, folder: Path, outside: Path
) -> None:
    await host.create(spec)
    with pytest.raises(HostRefused, match="A folder still stands") as refused:
        await host.release_address(SERVER, ADDRESS)
    assert refused.value.code == "server-remains"
    await tear_down(host, 1)
    folder.symlink_to(outside)
    with pytest.raises(HostRefused, match="A symbolic link still stands"):
        await host.release_address(SERVER, ADDRESS)


async def test_a_tree_of_any_depth_is_counted_and_removed(
    host: LocalHost, spec: ServerSpec, folder: Path
) -> None:
    await host.create(spec)
    depth = 3_000  # deeper than the recursion limit, PATH_MAX and the usual number of open files
    fd = tree.open_root(folder / "data")
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("deep.txt", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    contents = await host.find(SERVER)
    assert contents is not None
    assert contents.data_files == 3
    await tear_down(host, 1)
    assert not folder.exists()


async def test_teardowns_at_the_same_time_end_in_nothing_left(host: LocalHost, folder: Path) -> None:
    for number in range(400):
        (folder / "data" / f"{number % 20}" / f"{number}").mkdir(parents=True)
        (folder / "data" / f"{number % 20}" / f"{number}" / "chunk").touch()
    answers = await asyncio.gather(*(host.delete_data(SERVER) for _ in range(6)), return_exceptions=True)
    assert all(answer is None or isinstance(answer, HostUnavailable) for answer in answers), answers
    await host.delete_data(SERVER)
    assert not folder.exists()


async def test_what_comes_back_after_its_deletion_is_reported(
    host: LocalHost, spec: ServerSpec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.create(spec)
    (folder / "backups" / "monday.tar").touch()
    with monkeypatch.context() as patch:
        patch.setattr(tree, "remove", lambda *_: None)
        with pytest.raises(HostUnavailable) as failed:
            await host.delete_backup(SERVER, "monday.tar")
        assert failed.value.code == "backup-remains"
    await host.delete_backup(SERVER, "monday.tar")
    monkeypatch.setattr(tree, "remove_empty", lambda *_: None)
    with pytest.raises(HostUnavailable) as failed:
        await host.delete_data(SERVER)
    assert failed.value.code == "server-remains"
