"""What a customer, or a mistake, may put in the way: links, swaps, odd ids, other file systems."""

# ruff: noqa: ASYNC240 - a test may wait for the files it looks at

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from changeover.hosts import HostRefused, HostUnavailable, Limits, LocalHost, ServerSpec, tree
from tests.hosts.conftest import SERVER
from tests.hosts.trees import count, names, snapshot

Call = Callable[[LocalHost, str], Coroutine[Any, Any, object]]

CALLS: dict[str, Call] = {
    "find": lambda host, server: host.find(server),
    "apply_limits": lambda host, server: host.apply_limits(server, Limits(slots=1, options=())),
    "stop": lambda host, server: host.stop(server),
    "delete_backup": lambda host, server: host.delete_backup(server, "monday.tar"),
    "delete_data": lambda host, server: host.delete_data(server),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "server_id",
    [
        "",
        ".",
        "..",
        "/",
        "../outside",
        "\0",
        SERVER.upper(),
        SERVER.replace("-", ""),
        "{" + SERVER + "}",
        f"urn:uuid:{SERVER}",
        f"{SERVER}/..",
        f" {SERVER}",
        f"{SERVER}\n",
    ],
)
async def test_only_a_canonical_uuid_names_a_server(
    tmp_path: Path, call: Call, server_id: str, outside: Path
) -> None:
    host = LocalHost(tmp_path / "never-looked-at")
    with pytest.raises(HostRefused, match="not a UUID") as refused:
        await call(host, server_id)
    assert refused.value.code == "server-id"


async def test_the_release_of_an_address_needs_a_canonical_uuid_too(tmp_path: Path) -> None:
    with pytest.raises(HostRefused, match="not a UUID"):
        await LocalHost(tmp_path / "never-looked-at").release_address("..", "192.0.2.7:1")


@pytest.mark.parametrize(
    "backup_id",
    ["", ".", "..", "/", "a/b", "../data", "%2F", "%2E%2E", "%00", "\0", "é", "\udcff", "a%2fb", "a\n"],
)
async def test_only_ids_that_were_given_name_a_backup(
    host: LocalHost, spec: ServerSpec, folder: Path, backup_id: str
) -> None:
    await host.create(spec)
    (folder / "backups" / "monday.tar").touch()
    before = snapshot(folder)
    with pytest.raises(HostRefused) as refused:
        await host.delete_backup(SERVER, backup_id)
    assert refused.value.code == "backup-id"
    assert snapshot(folder) == before


async def test_links_are_counted_and_removed_as_links(
    host: LocalHost, spec: ServerSpec, folder: Path, outside: Path
) -> None:
    await host.create(spec)
    (folder / "data" / "escape").symlink_to(outside)
    (folder / "data" / "file").symlink_to(outside / "note.txt")
    (folder / "data" / "broken").symlink_to("nowhere")
    (folder / "data" / "loop").symlink_to("loop")
    (folder / "extra").symlink_to(outside)
    contents = await host.find(SERVER)
    assert contents is not None
    assert (contents.data_files, contents.data_bytes) == count(folder / "data")
    await host.delete_data(SERVER)
    assert not folder.exists()


async def test_a_backup_behind_a_link_is_not_taken_for_deleted(
    host: LocalHost, spec: ServerSpec, folder: Path, outside: Path
) -> None:
    await host.create(spec)
    link = folder / "backups" / "weekly"
    link.symlink_to(outside / "precious")
    contents = await host.find(SERVER)
    assert contents is not None
    assert [(one.files, one.bytes) for one in contents.backups] == [(1, len(str(outside / "precious")))]
    with pytest.raises(HostRefused, match=r"symbolic link.*delete what it leads to, then the link"):
        await host.delete_backup(SERVER, "weekly")
    with pytest.raises(HostRefused, match="still has backups"):
        await host.delete_data(SERVER)
    assert link.is_symlink()
    link.unlink()  # as the refusal says
    await host.delete_backup(SERVER, "weekly")
    await host.delete_data(SERVER)
    assert not folder.exists()


async def test_a_hard_link_outside_keeps_its_content(
    host: LocalHost, spec: ServerSpec, folder: Path, outside: Path
) -> None:
    await host.create(spec)
    os.link(outside / "note.txt", folder / "data" / "same-file")
    await host.delete_data(SERVER)
    assert (outside / "note.txt").stat().st_nlink == 1


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("kind", "words"), [("link", "a symbolic link"), ("file", "a file"), ("pipe", "a special")]
)
async def test_a_server_folder_that_is_none_is_refused(
    host: LocalHost, spec: ServerSpec, folder: Path, outside: Path, call: Call, kind: str, words: str
) -> None:
    put(kind, folder, outside)
    for attempt in (call(host, SERVER), host.create(spec)):
        with pytest.raises(HostRefused, match=f"{SERVER} is {words}.*put the folder back") as refused:
            await attempt
        assert refused.value.code == "host-folder"
    assert os.path.lexists(folder)


@pytest.mark.parametrize("part", ["data", "backups"])
@pytest.mark.parametrize(
    ("kind", "words"), [("link", "a symbolic link"), ("file", "a file"), ("pipe", "a special")]
)
async def test_data_or_backups_that_are_no_folders_are_refused(
    host: LocalHost, spec: ServerSpec, folder: Path, outside: Path, part: str, kind: str, words: str
) -> None:
    folder.mkdir()
    put(kind, folder / part, outside)
    attempts = [host.find(SERVER), host.create(spec), host.delete_data(SERVER)]
    if part == "backups":
        attempts.append(host.delete_backup(SERVER, "precious"))
    for attempt in attempts:
        with pytest.raises(HostRefused, match=f"'{part}' of server {SERVER} is {words}") as refused:
            await attempt
        assert refused.value.code == "host-folder"
    assert os.path.lexists(folder / part)


def put(kind: str, path: Path, outside: Path) -> None:
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "file":
        path.write_text("in the way")
    else:
        os.mkfifo(path)


async def test_settings_behind_a_link_are_never_read_or_written(
    host: LocalHost, folder: Path, outside: Path
) -> None:
    folder.mkdir()
    (folder / "server.json").symlink_to(outside / "note.txt")
    for attempt in (host.find(SERVER), host.stop(SERVER)):
        with pytest.raises(HostRefused, match="ELOOP"):
            await attempt
    await host.delete_data(SERVER)
    assert not folder.exists()


async def test_a_folder_swapped_for_a_link_in_mid_deletion_is_not_followed(
    host: LocalHost, folder: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data" / "victim").mkdir(parents=True)

    def swap_after_listing(fd: int) -> tuple[list[str], list[str]]:
        seen = real_entries(fd)
        victim = folder / "data" / "victim"
        if "victim" in seen[0]:
            victim.rmdir()
            victim.symlink_to(outside)
        return seen

    real_entries = tree.entries
    with monkeypatch.context() as patch:
        patch.setattr(tree, "entries", swap_after_listing)
        with pytest.raises(HostUnavailable, match="EAGAIN"):
            await host.delete_data(SERVER)
    await host.delete_data(SERVER)
    assert not folder.exists()


async def test_a_part_swapped_for_a_link_after_it_was_opened_is_not_followed(
    host: LocalHost, spec: ServerSpec, folder: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.create(spec)

    def swap_and_empty(fd: int) -> None:
        (folder / "data").rename(folder / "moved")
        (folder / "data").symlink_to(outside)
        real_empty(fd)

    real_empty = tree.empty
    with monkeypatch.context() as patch:
        patch.setattr(tree, "empty", swap_and_empty)
        with pytest.raises(HostRefused, match="ENOTDIR"):
            await host.delete_data(SERVER)
    with pytest.raises(HostRefused, match="a symbolic link"):
        await host.delete_data(SERVER)


async def test_backups_swapped_for_a_link_before_their_removal_are_not_followed(
    host: LocalHost, spec: ServerSpec, folder: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.create(spec)

    def swap_and_empty(fd: int) -> None:
        (folder / "backups").rmdir()
        (folder / "backups").symlink_to(outside)
        real_empty(fd)

    real_empty = tree.empty
    monkeypatch.setattr(tree, "empty", swap_and_empty)
    with pytest.raises(HostRefused, match="ENOTDIR"):
        await host.delete_data(SERVER)


async def test_a_folder_moved_out_of_the_tree_does_not_lead_the_way_out(
    host: LocalHost, folder: Path, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data" / "above" / "below").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "keep.txt").touch()
    (elsewhere / "above").mkdir()

    def move_after_listing(fd: int) -> tuple[list[str], list[str]]:
        seen = real_entries(fd)
        inside = folder / "data" / "above" / "below"
        if inside.exists() and os.path.samestat(os.fstat(fd), inside.stat()):
            shutil.move(inside, elsewhere / "below")
        return seen

    real_entries = tree.entries
    with monkeypatch.context() as patch:
        patch.setattr(tree, "entries", move_after_listing)
        with pytest.raises(HostUnavailable, match="EAGAIN"):
            await host.delete_data(SERVER)
    assert names(elsewhere) == ["above", "below", "keep.txt"]


async def test_a_folder_that_vanishes_in_mid_walk_is_passed_over(
    host: LocalHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data" / "gone").mkdir(parents=True)
    (folder / "data" / "fleeting").touch()
    (folder / "backups" / "brief").mkdir(parents=True)

    def vanish_after_listing(fd: int) -> tuple[list[str], list[str]]:
        seen = real_entries(fd)
        if "gone" in seen[0]:
            (folder / "data" / "gone").rmdir()
            (folder / "data" / "fleeting").unlink()
        if "brief" in seen[0]:
            (folder / "backups" / "brief").rmdir()
        return seen

    real_entries = tree.entries
    monkeypatch.setattr(tree, "entries", vanish_after_listing)
    contents = await host.find(SERVER)
    assert contents is not None
    assert (contents.data_files, contents.data_bytes) == (0, 0)
    assert [(one.files, one.bytes) for one in contents.backups] == [(0, 0)]


async def test_another_file_system_mounted_inside_is_refused(
    host: LocalHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = folder / "data" / "mounted"
    mounted.mkdir(parents=True)
    (mounted / "world.dat").write_text("on another disk")
    inode = mounted.stat().st_ino

    def fstat(fd: int) -> os.stat_result:
        found = real_fstat(fd)
        if found.st_ino != inode:
            return found
        fields = list(found)
        fields[2] += 1  # st_dev
        return os.stat_result(fields)

    real_fstat = os.fstat
    monkeypatch.setattr(os, "fstat", fstat)
    for attempt in (host.find(SERVER), host.delete_data(SERVER)):
        with pytest.raises(HostRefused, match=r"EXDEV.*unmount what"):
            await attempt
    assert (mounted / "world.dat").exists()


IN_A_MOUNT_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec")
BIND_AND_TEAR_DOWN = """
mount --bind "$1" "$2"
exec "$3" -c '
import asyncio, sys
from pathlib import Path
from changeover.hosts import HostRefused, LocalHost
host, server = LocalHost(Path(sys.argv[1])), sys.argv[2]
for call in (host.find, host.delete_data, lambda it: host.delete_backup(it, "weekly")):
    try:
        asyncio.run(call(server))
    except HostRefused as refused:
        print(refused)
' "$4" "$5"
"""


@pytest.mark.parametrize("place", ["data/mods", "data", "backups/weekly", "logs", ""])
def test_a_folder_of_the_same_disk_mounted_inside_is_refused(
    root: Path, folder: Path, outside: Path, place: str
) -> None:
    """A bind mount, as hosts use to share files between servers: the device is the same on both sides."""
    if subprocess.run([*IN_A_MOUNT_NAMESPACE, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody have a mount namespace")
    (folder / "data").mkdir(parents=True)
    (folder / "backups").mkdir()
    (folder / place).mkdir(parents=True, exist_ok=True)
    before = snapshot(outside)
    arguments = ["sh", outside, folder / place, sys.executable, root, SERVER]
    command = [*IN_A_MOUNT_NAMESPACE, BIND_AND_TEAR_DOWN, *map(str, arguments)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "EXDEV. To do: unmount what is mounted inside" in told
    assert snapshot(outside) == before
