"""What each step of a teardown does on the host, and the evidence that it gives."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from changeover.domain.teardown import Step
from changeover.hosts import Contents, Host, HostUnavailable
from changeover.storage.tasks import Task

Kept = Callable[[str], Awaitable[set[str]]]


class TeardownSteps:
    """The readable list: one method per step, each of which can be repeated without harm.

    `kept` tells the servers that a service, by its id, keeps.
    """

    def __init__(self, host: Host, kept: Kept) -> None:
        self._host = host
        self._kept = kept
        self._methods = {
            Step.RECORD: self._record,
            Step.STOP: self._stop,
            Step.DELETE_BACKUPS: self._delete_backups,
            Step.DELETE_DATA: self._delete_data,
            Step.VERIFY_GONE: self._verify_gone,
            Step.RELEASE_ADDRESS: self._release_address,
        }

    async def take(self, step: Step, task: Task) -> dict[str, Any]:
        """Take one step, and return its evidence. Raises `HostError`."""
        return await self._methods[step](task)

    async def _record(self, task: Task) -> dict[str, Any]:
        contents = await self._find(task)
        return {"address": task.address} | _described(task.server_id, contents)

    async def _stop(self, task: Task) -> dict[str, Any]:
        await self._host.stop(task.server_id)
        return {"stopped": True}

    async def _delete_backups(self, task: Task) -> dict[str, Any]:
        contents = await self._find(task)
        backups = contents.backups if contents else ()
        for backup in backups:
            await self._host.delete_backup(task.server_id, backup.id)
        left = await self._host.find(task.server_id)
        if left is not None and left.backups:
            raise HostUnavailable("backups-remain", f"{len(left.backups)} backup(s) are still there")
        return {"deleted": len(backups), "bytes": sum(backup.bytes for backup in backups)}

    async def _delete_data(self, task: Task) -> dict[str, Any]:
        contents = await self._find(task)
        await self._host.delete_data(task.server_id)
        return {
            "files": contents.data_files if contents else 0,
            "bytes": contents.data_bytes if contents else 0,
        }

    async def _verify_gone(self, task: Task) -> dict[str, Any]:
        contents = await self._host.find(task.server_id)
        if contents is not None:
            what = f"{contents.data_files} file(s) and {len(contents.backups)} backup(s)"
            raise HostUnavailable("server-remains", f"the host still has the server: {what}")
        return {"found": False}

    async def _release_address(self, task: Task) -> dict[str, Any]:
        if task.address_held or self._host.deletion_frees_address:
            return {"address": task.address}
        await self._host.release_address(task.server_id, task.address)
        return {"address": task.address}

    async def _find(self, task: Task) -> Contents | None:
        """Find what may not be deleted yet. Without it, and without its neighbours, a host isn't believed.

        A disk that isn't mounted, or another machine's folder, looks like a host from which all is gone.
        """
        contents = await self._host.find(task.server_id)
        if contents is not None:
            return contents
        kept = await self._kept(task.service_id)
        if kept.isdisjoint(await self._host.servers()):
            raise HostUnavailable(
                "servers-missing",
                f"the host shows neither this server nor any of the {len(kept)} that its service keeps: is "
                "its storage mounted on this worker? Mount it, and this goes on by itself; if they are "
                "really gone, skip this step, with evidence",
            )
        return None


def _described(server_id: str, contents: Contents | None) -> dict[str, Any]:
    """Return what was there. Receipts are kept for good, so no name that a customer chose is in them."""
    if contents is None:
        return {"found": False}
    return {
        "found": True,
        "running": contents.running,
        "data_files": contents.data_files,
        "data_bytes": contents.data_bytes,
        "backups": [
            {"sha256": backup_sha256(server_id, backup.id), "files": backup.files, "bytes": backup.bytes}
            for backup in contents.backups
        ],
    }


def backup_sha256(server_id: str, backup_id: str) -> str:
    """Return by what a backup is known in receipts: who has its id can compare, nobody can read it."""
    return sha256(f"{server_id}/{backup_id}".encode()).hexdigest()
