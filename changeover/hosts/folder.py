"""One server's folder, held open: its settings, data and backups.

<server id>/
    server.json     name, address, game, limits, running: what starts the game reads this
    data/           the customer's files
    backups/        one file or folder per backup
"""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from pydantic import TypeAdapter

from changeover.hosts import tree
from changeover.hosts.port import Backup, Contents, HostRefused, HostUnavailable, Limits, ServerSpec

_SETTINGS_FILE = "server.json"
_DATA = "data"
_BACKUPS = "backups"
_SETTINGS_MOST = 65_536  # bytes; ours are a few hundred
_ID_SAFE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in "%/")
_REFUSED = {
    errno.EACCES: "give the worker's user the right to read and change it",
    errno.EPERM: "give the worker's user the right to change it, and look for an immutable flag",
    errno.EROFS: "mount the file system for writing",
    errno.ENOTDIR: "put the folder back where something else stands",
    errno.EISDIR: "put the file back where a folder stands",
    errno.ELOOP: "look what link stands where a file is expected, and remove it",
    errno.EXDEV: "unmount what is mounted inside",
}


@dataclass(frozen=True)
class Settings:
    """What `server.json` holds."""

    name: str
    address: str
    game: str
    limits: Limits
    running: bool


_SETTINGS = TypeAdapter(Settings)


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn the `OSError`s of file work into the port's, without the file names that they carry."""
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        name = errno.errorcode.get(number, str(number))
        if number in _REFUSED:
            raise HostRefused("storage-refusal", f"{what}: {name}. To do: {_REFUSED[number]}.") from None
        raise HostUnavailable("storage-failure", f"{what}: {name}. It is worth trying again.") from None


def is_server_id(name: str) -> bool:
    """Say whether a name is a UUID in canonical form: a server's id is the name of its folder."""
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False


def require_server_id(server_id: str) -> None:
    """Refuse all but what `is_server_id` knows."""
    if not is_server_id(server_id):
        raise HostRefused(
            "server-id", "The server id is not a UUID in canonical form: correct it in the database."
        )


def backup_id(name: str) -> str:
    """Make a backup's id from the name of its file, which may hold any bytes. Inverse of `backup_name`."""
    return quote(os.fsencode(name), safe=_ID_SAFE)


def backup_name(backup: str) -> str:
    """Return the name of a backup's file; `HostRefused` for an id that `backup_id` never gives."""
    name = os.fsdecode(unquote_to_bytes(backup)) if backup.isascii() else ""
    if backup_id(name) != backup or name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise HostRefused("backup-id", "The backup id is not one that this host has given: look it up again.")
    return name


@contextmanager
def open_folder(name: str, parent: int, what: str) -> Iterator[int | None]:
    """Open a folder that must be one; None when nothing is there, `HostRefused` for anything else."""
    fd = None
    try:
        fd = tree.open_folder(name, parent)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in tree.NOT_A_FOLDER:
            raise
        kind = tree.kind_of(name, parent) or "gone"
        raise HostRefused(
            "host-folder",
            f"{what} is {kind}, where a folder is expected. It was not touched. To do: put the folder back "
            "in its place; only if there is none any more, remove what stands there.",
        ) from None
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


class ServerFolder:
    """The open folder of one server."""

    def __init__(self, fd: int, server_id: str) -> None:
        self._fd = fd
        self._server_id = server_id

    def settings(self) -> Settings | None:
        raw = tree.read(_SETTINGS_FILE, self._fd, _SETTINGS_MOST)
        if raw is None:
            return None
        try:
            return _SETTINGS.validate_json(raw)
        except ValueError:
            raise HostRefused(
                "server-settings",
                f"server.json of server {self._server_id} can't be read: put a good one back, or remove it.",
            ) from None

    def save(self, settings: Settings) -> None:
        tree.write(_SETTINGS_FILE, self._fd, _SETTINGS.dump_json(settings, indent=2))

    def contents(self) -> Contents:
        settings = self.settings()
        with self._part(_DATA) as data:
            files, size = (0, 0) if data is None else tree.measure_folder(data)
        with self._part(_BACKUPS) as backups:
            found = () if backups is None else self._backups(backups)
        return Contents(
            running=settings is not None and settings.running,
            data_files=files,
            data_bytes=size,
            backups=found,
        )

    def create(self, spec: ServerSpec) -> None:
        """Make what is missing; `server.json` comes last and says that the server is complete."""
        settings = self.settings()
        if settings is None:
            tree.make_folder(_BACKUPS, self._fd)
            with self._part(_BACKUPS):
                self._fill(spec)
            limits = Limits(slots=spec.slots, options=spec.options)
            self.save(
                Settings(name=spec.name, address=spec.address, game=spec.game, limits=limits, running=True)
            )
        elif (settings.address, settings.game) != (spec.address, spec.game):
            raise HostRefused(
                "server-conflict",
                f"Server {self._server_id} is there already, at {settings.address} with {settings.game}: "
                "look which of the two is right. It was not touched.",
            )

    def delete_backup(self, name: str) -> None:
        with self._part(_BACKUPS) as backups:
            if backups is None:
                return
            if tree.kind_of(name, backups) == tree.LINK:
                raise HostRefused(
                    "backup-elsewhere",
                    f"A backup of server {self._server_id} is {tree.LINK}: what it leads to would remain. "
                    "It was not touched. To do: delete what it leads to, then the link.",
                )
            tree.remove(name, backups)
            os.fsync(backups)
            if tree.kind_of(name, backups) is not None:
                raise HostUnavailable(
                    "backup-remains", f"A backup of server {self._server_id} is back: try again."
                )

    def empty(self) -> None:
        """Remove all that the folder holds, `server.json` last; refuses while there are backups."""
        with self._part(_BACKUPS) as backups:
            if backups is not None and any(tree.entries(backups)):
                raise self._backups_remain()
        with self._part(_DATA) as data:
            if data is not None:
                tree.empty(data)
        tree.remove_empty(_DATA, self._fd)
        try:
            tree.remove_empty(_BACKUPS, self._fd)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            raise self._backups_remain() from None
        folders, others = tree.entries(self._fd)
        for name in folders + others:
            if name != _SETTINGS_FILE:
                tree.remove(name, self._fd)
        tree.remove(_SETTINGS_FILE, self._fd)

    def _part(self, name: str) -> AbstractContextManager[int | None]:
        return open_folder(name, self._fd, f"'{name}' of server {self._server_id}")

    def _backups(self, folder: int) -> tuple[Backup, ...]:
        names = [name for group in tree.entries(folder) for name in group]
        measured = ((backup_id(name), *tree.measure(name, folder)) for name in names)
        return tuple(Backup(id=found, files=files, bytes=size) for found, files, size in sorted(measured))

    def _backups_remain(self) -> HostRefused:
        return HostRefused(
            "backups-remain",
            f"Server {self._server_id} still has backups: delete each of them before the data.",
        )

    def _fill(self, spec: ServerSpec) -> None:
        """Give the server its first files, all at once, unless it has data."""
        with self._part(_DATA) as data:
            if data is not None and any(tree.entries(data)):
                return
        temporary = tree.temporary_name()
        tree.make_folder(temporary, self._fd)
        try:
            with tree.closing(tree.open_folder(temporary, self._fd)) as folder:
                for name, content in first_files(spec).items():
                    tree.write(name, folder, content)
            # Replaces an empty folder, and fails on one that got data in the meantime.
            os.rename(temporary, _DATA, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        finally:
            tree.remove(temporary, self._fd)


def first_files(spec: ServerSpec) -> dict[str, bytes]:
    """Return what a new server's data folder starts with, by name."""
    properties = (
        "# From the creation of the server. The limits in force are in server.json.\n"
        f"server-address={spec.address}\n"
        f"max-players={spec.slots}\n"
    )
    return {"server.properties": properties.encode(), "world.dat": spec.server_id.encode() * 64}
