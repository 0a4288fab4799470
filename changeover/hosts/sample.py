"""Fill a local host with servers that look lived in.

`python -m changeover.hosts.sample --host-dir DIR < servers.json` takes a JSON array of `SampleServer`s.
A server that exists is passed over. The same input gives the same bytes.
"""

import argparse
import asyncio
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from changeover.hosts.folder import require_server_id
from changeover.hosts.local import LocalHost
from changeover.hosts.port import HostError, ServerSpec

_REGION_MOST = 262_144  # bytes; a region file of a real world is of this order


@dataclass(frozen=True)
class SampleServer:
    """A server to create: `kilobytes` of data (1,024 bytes each) and `backups` full copies of it."""

    server_id: str
    name: str
    address: str
    game: str
    slots: Annotated[int, Field(ge=1)]
    options: tuple[str, ...]
    backups: Annotated[int, Field(ge=0, le=100)]
    kilobytes: Annotated[int, Field(ge=0, le=1_048_576)]

    def spec(self) -> ServerSpec:
        return ServerSpec(
            server_id=self.server_id,
            name=self.name,
            address=self.address,
            game=self.game,
            slots=self.slots,
            options=self.options,
        )


_SERVERS = TypeAdapter(list[SampleServer])


def sample_files(server: SampleServer) -> Iterator[tuple[str, bytes]]:
    """Yield the server's files by relative path: settings, a log, players, a world that makes up the size."""
    small = {
        "server.properties": f"server-address={server.address}\nmax-players={server.slots}\n",
        "logs/latest.log": "".join(f"[{hour:02}:00:00] saved the world\n" for hour in range(24)),
        "config/whitelist.json": json.dumps(["builder", "guest", "miner"]),
        "world/players/builder.json": json.dumps({"health": 20, "position": [12, 64, -8]}),
    }
    left = server.kilobytes * 1024
    for path, text in small.items():
        content = text.encode()[:left]
        left -= len(content)
        yield path, content
    for number in range(-(-left // _REGION_MOST)):
        path = f"world/region/r.{number}.0.dat"
        size = min(_REGION_MOST, left - number * _REGION_MOST)
        yield path, hashlib.shake_256(f"{server.server_id}/{path}".encode()).digest(size)


def archive(server: SampleServer) -> bytes:
    """Pack the server's files into a tar archive, without any time or owner in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in sample_files(server):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def fill(server: SampleServer, folder: Path) -> None:
    """Write data and backups; every other backup is a folder, as hosts keep them in both shapes."""
    _write_all(server, folder / "data")
    for number in range(1, server.backups + 1):
        path = folder / "backups" / f"backup-{number:02}"
        if number % 2:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".tar").write_bytes(archive(server))
        else:
            _write_all(server, path)


def _write_all(server: SampleServer, folder: Path) -> None:
    for path, content in sample_files(server):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


async def create_samples(servers: Sequence[SampleServer], root: Path) -> int:
    """Create the servers that are not there yet, the root too; returns how many those were."""
    await asyncio.to_thread(root.mkdir, parents=True, exist_ok=True)
    host = LocalHost(root)
    created = 0
    for server in servers:
        require_server_id(server.server_id)
        folder = root / server.server_id
        # server.json comes last: a server without one was begun and is written again.
        if not (folder / "server.json").exists():
            await asyncio.to_thread(fill, server, folder)
            await host.create(server.spec())
            created += 1
    return created


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 the host failed, 2 the input is wrong."""
    parser = argparse.ArgumentParser(prog="python -m changeover.hosts.sample", description=__doc__)
    parser.add_argument("--host-dir", type=Path, required=True, help="the root of the local host")
    host_dir: Path = parser.parse_args(arguments).host_dir
    try:
        servers = _SERVERS.validate_json(sys.stdin.read())
        created = asyncio.run(create_samples(servers, host_dir))
    except ValidationError as error:
        parser.error(f"the servers on standard input are not as described:\n{error}")
    except (HostError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps({"created": created}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
