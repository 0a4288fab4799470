"""How trouble with the disk is told: try again, or look; never with a customer's file name."""

# ruff: noqa: ASYNC240 - a test may wait for the files it looks at

import errno
import os
import pickle
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from changeover.hosts import HostError, HostRefused, HostUnavailable, LocalHost, ServerSpec
from tests.hosts.conftest import SERVER
from tests.hosts.trees import names

NOBODY = 65534
REFUSED = [errno.EACCES, errno.EPERM, errno.EROFS]
UNAVAILABLE = [
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.ESTALE,
    errno.EAGAIN,
    errno.EMFILE,
    errno.EBUSY,
    9999,
]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(number, HostRefused) for number in REFUSED] + [(number, HostUnavailable) for number in UNAVAILABLE],
)
async def test_an_operator_is_asked_only_for_what_trying_again_can_not_mend(
    host: LocalHost, spec: ServerSpec, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[HostError]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "no", "jeanne.martin@example.com.dat")

    await host.create(spec)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fail)
        with pytest.raises(kind) as failed:
            await host.delete_data(SERVER)
    assert SERVER in str(failed.value)
    assert errno.errorcode.get(number, "9999") in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__
    assert "jeanne" not in "".join(traceback.format_exception(failed.value))
    await host.delete_data(SERVER)


async def test_an_error_without_a_number_is_worth_trying_again(
    host: LocalHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(HostUnavailable, match="EIO"):
        await host.check()


async def test_a_full_disk_leaves_the_old_settings_and_no_litter(
    host: LocalHost, spec: ServerSpec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.create(spec)
    before = (folder / "server.json").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(HostUnavailable, match="ENOSPC"):
            await host.stop(SERVER)
    assert (folder / "server.json").read_bytes() == before
    assert names(folder) == ["backups", "data", "server.json"]


@pytest.mark.parametrize("part", ["", "data", "data/secret"])
async def test_a_folder_that_may_not_be_opened_is_refused(
    host: LocalHost, spec: ServerSpec, folder: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """As root nothing is forbidden, so the refusal is the kernel's only in its number."""
    await host.create(spec)
    (folder / "data" / "secret").mkdir()
    forbidden = (folder / part).name

    def guarded(name: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name == forbidden:
            raise PermissionError(errno.EACCES, "forbidden", name)
        return real_open(name, flags, mode, dir_fd=dir_fd)

    real_open = os.open
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", guarded)
        for attempt in (host.find(SERVER), host.delete_data(SERVER)):
            with pytest.raises(HostRefused, match=f"{SERVER}: EACCES.*the right to"):
                await attempt
    assert folder.exists()


@pytest.fixture
def as_an_ordinary_user() -> Iterator[Path]:
    """Give a folder that an ordinary user owns, and be that user: root may read everything."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


async def test_unreadable_data_is_refused_and_stays(as_an_ordinary_user: Path, spec: ServerSpec) -> None:
    host, folder = LocalHost(as_an_ordinary_user), as_an_ordinary_user / SERVER
    await host.create(spec)
    (folder / "data").chmod(0)
    for attempt in (host.find(SERVER), host.delete_data(SERVER)):
        with pytest.raises(HostRefused, match="EACCES"):
            await attempt
    (folder / "data").chmod(0o700)
    assert len(names(folder / "data")) == 2


async def test_a_removal_that_fails_half_way_is_finished_by_the_next(
    host: LocalHost, spec: ServerSpec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.create(spec)
    (folder / "backups").rmdir()
    calls = 0

    def fail_later(name: str, *, dir_fd: int | None = None) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(errno.EIO, "bad sector")
        real_unlink(name, dir_fd=dir_fd)

    real_unlink = os.unlink
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fail_later)
        with pytest.raises(HostUnavailable, match="EIO"):
            await host.delete_data(SERVER)
    contents = await host.find(SERVER)
    assert contents is not None
    assert contents.data_files == 1
    await host.delete_data(SERVER)
    assert not folder.exists()


async def test_the_settings_outlive_all_else_of_a_server(
    host: LocalHost, spec: ServerSpec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a server whose deletion stopped half-way can still be told from a folder of unknown origin."""
    await host.create(spec)
    (folder / "logs").mkdir()
    real_rmdir = os.rmdir

    def fail_on_logs(name: str, *, dir_fd: int | None = None) -> None:
        if name == "logs":
            raise OSError(errno.EIO, "bad sector")
        real_rmdir(name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", fail_on_logs)
        with pytest.raises(HostUnavailable, match="EIO"):
            await host.delete_data(SERVER)
    assert names(folder) == ["logs", "server.json"]


def test_errors_survive_the_way_between_processes() -> None:
    copy = pickle.loads(pickle.dumps(HostRefused("server-id", "Not a UUID.")))
    assert (type(copy), copy.code, copy.message, str(copy)) == (
        HostRefused,
        "server-id",
        "Not a UUID.",
        "Not a UUID.",
    )
