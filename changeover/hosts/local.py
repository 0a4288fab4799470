"""The `local` driver: each server is a folder of real files below one root.

What is destroyed here is destroyed for good, so nothing leaves a server's own folder: see `tree` for how.
Addresses are no files; they live in the database's pool.
"""

import asyncio
import contextvars
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from changeover.failpoints import reach
from changeover.hosts import tree
from changeover.hosts.folder import (
    ServerFolder,
    backup_name,
    disk_errors,
    is_server_id,
    open_folder,
    require_server_id,
)
from changeover.hosts.port import Contents, HostRefused, HostUnavailable, Limits, ServerSpec

T = TypeVar("T")

_threads = ThreadPoolExecutor(max_workers=128, thread_name_prefix="local-host")
"""More than a worker has activities: no call waits for others that hang (a disk whose server is gone). And of
its own: nothing else waits for them, neither a look-up of a mail server nor the worker's end."""


class LocalHost:
    """Servers in `<root>/<server id>/`. The root must exist: a missing one may be a disk not mounted."""

    deletion_frees_address = False

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    async def _aside(self, work: Callable[..., T], *given: Any) -> T:
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(_threads, context.run, work, *given)

    async def find(self, server_id: str) -> Contents | None:
        return await self._aside(self._find, server_id)

    async def servers(self) -> list[str]:
        return await self._aside(self._servers)

    async def create(self, spec: ServerSpec) -> None:
        await self._aside(self._create, spec)

    async def apply_limits(self, server_id: str, limits: Limits) -> None:
        await self._aside(self._apply_limits, server_id, limits)

    async def stop(self, server_id: str) -> None:
        await self._aside(self._stop, server_id)

    async def delete_backup(self, server_id: str, backup_id: str) -> None:
        await self._aside(self._delete_backup, server_id, backup_id)

    async def delete_data(self, server_id: str) -> None:
        await self._aside(self._delete_data, server_id)

    async def release_address(self, server_id: str, address: str) -> None:
        """Nothing to release here; refuses while anything stands where the server was."""
        await self._aside(self._require_gone, server_id)

    async def check(self) -> None:
        await self._aside(self._check)

    def _find(self, server_id: str) -> Contents | None:
        with self._opened(server_id) as (_, folder):
            return None if folder is None else folder.contents()

    def _servers(self) -> list[str]:
        with self._opened_root("The folder of the local host") as root:
            folders, _ = tree.entries(root)
        return [name for name in folders if is_server_id(name)]

    def _create(self, spec: ServerSpec) -> None:
        with self._opened(spec.server_id, make=True) as (root, folder):
            if folder is None:
                raise HostUnavailable(
                    "server-vanished", f"Server {spec.server_id} was deleted during its creation."
                )
            reach("host.create")
            folder.create(spec)
            os.fsync(root)

    def _apply_limits(self, server_id: str, limits: Limits) -> None:
        with self._opened(server_id) as (_, folder):
            reach("host.limits")
            settings = None if folder is None else folder.settings()
            if folder is None or settings is None:
                raise HostRefused(
                    "server-unknown",
                    f"The local host has no server {server_id}: mount its storage, or put it back; retry.",
                )
            if settings.limits != limits:
                folder.save(replace(settings, limits=limits))

    def _stop(self, server_id: str) -> None:
        with self._opened(server_id) as (_, folder):
            settings = None if folder is None else folder.settings()
            if folder is not None and settings is not None and settings.running:
                folder.save(replace(settings, running=False))

    def _delete_backup(self, server_id: str, backup_id: str) -> None:
        name = backup_name(backup_id)
        with self._opened(server_id) as (_, folder):
            reach("host.delete_backup")
            if folder is not None:
                folder.delete_backup(name)

    def _delete_data(self, server_id: str) -> None:
        with self._opened(server_id) as (root, folder):
            reach("host.delete_data")
            if folder is not None:
                folder.empty()
                tree.remove_empty(server_id, root)
            os.fsync(root)
            if tree.kind_of(server_id, root) is not None:
                raise HostUnavailable(
                    "server-remains", f"The folder of server {server_id} is back: try again."
                )

    def _require_gone(self, server_id: str) -> None:
        require_server_id(server_id)
        with self._opened_root(f"The folder of server {server_id}") as root:
            reach("host.release_address")
            kind = tree.kind_of(server_id, root)
        if kind is not None:
            raise HostRefused(
                "server-remains",
                f"{kind.capitalize()} still stands for server {server_id}: delete its data first.",
            )

    def _check(self) -> None:
        with self._opened_root("The folder of the local host") as root:
            name = tree.temporary_name()
            tree.write(name, root, b"Changeover can write here.\n")
            tree.remove(name, root)

    @contextmanager
    def _opened(self, server_id: str, *, make: bool = False) -> Iterator[tuple[int, ServerFolder | None]]:
        """Open the root, and the server's folder in it (None when there is none)."""
        require_server_id(server_id)
        what = f"The folder of server {server_id}"
        with self._opened_root(what) as root:
            if make:
                tree.make_folder(server_id, root)
            with open_folder(server_id, root, what) as fd:
                yield root, None if fd is None else ServerFolder(fd, server_id)

    @contextmanager
    def _opened_root(self, what: str) -> Iterator[int]:
        with disk_errors(what):
            if not self._root.is_dir():
                raise HostUnavailable(
                    "host-root",
                    f"There is no folder {self._root} for the local host: mount it, or create it.",
                )
            with tree.closing(tree.open_root(self._root)) as root:
                yield root
