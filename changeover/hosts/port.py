"""The port to where game servers really live: what every host driver offers, and how it fails.

Drivers differ in when they answer. A deletion may be *accepted* long before it is *done* (a panel hands it to
the machine and answers at once), so nothing here counts as deleted until `Host.find` no longer shows it.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Backup:
    """One backup of a server, wherever the host keeps it.

    `id` is what `Host.delete_backup` takes: printable ASCII, at most 765 characters. `files` and `bytes` are
    what it holds, both 0 or more.
    """

    id: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Contents:
    """What a server has right now.

    Counts are 0 or more; a link counts as one file with its own size and is never followed. Folders are not
    counted. Backups stand in the order of their ids.
    """

    running: bool
    data_files: int
    data_bytes: int
    backups: tuple[Backup, ...]


@dataclass(frozen=True)
class ServerSpec:
    """A server to be created.

    `server_id` is a UUID in canonical form, `address` is "ip:port", `slots` 1 or more.
    """

    server_id: str
    name: str
    address: str
    game: str
    slots: int
    options: tuple[str, ...]


@dataclass(frozen=True)
class Limits:
    """What a server may use: `slots` (players, 1 or more) and the codes of its options."""

    slots: int
    options: tuple[str, ...]


class HostError(Exception):
    """A host did not do what it was asked.

    `code` is a stable noun, `message` says what is wrong and what to do. Neither holds a secret, a person's
    data or the name of a customer's file, so both may stand in a workflow's history and in logs.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class HostUnavailable(HostError):
    """Worth trying again by itself: the host is away, busy or full."""


class HostRefused(HostError):
    """Trying again won't help: an operator must look."""


class Host(Protocol):
    """Where servers live.

    Every call may raise `HostUnavailable` or `HostRefused`, takes a server id that the database knows, and
    may be repeated: by a retry, by a second worker, long after it was done. The destructive calls do no harm
    when the thing is already gone. In a teardown they come in the order in which they stand here: a panel
    that deletes a server forgets its backups, whose files then stay on the machine.
    """

    deletion_frees_address: bool
    """True when deleting the data releases the address by itself (`release_address` then only verifies)."""

    async def find(self, server_id: str) -> Contents | None:
        """Return what the server has; None when the host knows nothing of it any more.

        None is taken as evidence of a deletion. A host that can't be reached, or whose storage is away,
        raises `HostUnavailable`; one still at work on a deletion returns what is left, be it no file at all.
        (A driver can't always know: docs/decisions/0020-gone-is-believed-beside-neighbours.md.)
        """
        ...

    async def servers(self) -> list[str]:
        """Return the ids of all servers that the host has, whoever made them, in any order.

        What has no server id of ours (another panel's folders, temporary ones) is left out.
        """
        ...

    async def create(self, spec: ServerSpec) -> None:
        """Create the server and start it.

        A server that is there already is left as it is, data, limits and all; `HostRefused` if it is there
        under another address or with another game.
        """
        ...

    async def apply_limits(self, server_id: str, limits: Limits) -> None:
        """Give the server these limits and keep its data. `HostRefused` when there is no such server."""
        ...

    async def stop(self, server_id: str) -> None:
        """Stop the server's processes, so that nothing writes while it is deleted."""
        ...

    async def delete_backup(self, server_id: str, backup_id: str) -> None:
        """Delete one backup for good. `HostRefused` when the host protects it (locked)."""
        ...

    async def delete_data(self, server_id: str) -> None:
        """Delete the data and all else that the host has of it. `HostRefused` while backups remain."""
        ...

    async def release_address(self, server_id: str, address: str) -> None:
        """Give the address ("ip:port") back to the host. `HostRefused` while the server is still there."""
        ...

    async def check(self) -> None:
        """For `doctor` and at start-up: raises `HostError` that says what is wrong with the host."""
        ...
