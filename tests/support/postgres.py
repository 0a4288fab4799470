"""A throwaway PostgreSQL server, from the binaries that a Debian package or PATH brings."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Nothing survives a power cut here, but everything committed survives `kill`: synchronous_commit stays on.
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 100
"""
START_ATTEMPTS = 3


class PostgresError(Exception):
    """A PostgreSQL program failed; the text is what it wrote."""


def find_binaries() -> Path | None:
    """The folder with `initdb` and `pg_ctl`: the newest of Debian's, else the one on PATH."""
    packaged = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest_first = sorted(packaged, key=lambda initdb: float(initdb.parts[-3]), reverse=True)
    if newest_first:
        return newest_first[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def binaries_or_skip() -> Path:
    """Return that folder, or skip the test."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL here: its server binaries are missing (apt-get install postgresql)")
    return binaries


class Postgres:
    """One cluster in `folder`; it answers on the same port of 127.0.0.1 after every start."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries = binaries
        self.folder = folder
        self.user = other_than_root()
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.port = 0

    def create(self) -> None:
        if self.user:
            shutil.chown(self.folder, self.user)
        options = ["--no-sync", "--auth=trust", "--username=changeover", "--encoding=UTF8", "--locale=C"]
        self.execute("initdb", *options, "-D", str(self.data))
        for _ in range(START_ATTEMPTS - 1):
            with contextlib.suppress(PostgresError):  # somebody else may be quicker to take the port
                return self.start_on(free_port())
        return self.start_on(free_port())

    def start_on(self, port: int) -> None:
        self.port = port
        settings = SETTINGS.format(port=port, folder=self.folder)
        (self.data / "postgresql.auto.conf").write_text(settings)
        self.start()

    def start(self) -> None:
        """Return when the server takes connections."""
        try:
            self.execute("pg_ctl", "start", "--wait", "-D", str(self.data), "-l", str(self.log))
        except PostgresError as error:
            log = self.log.read_text() if self.log.exists() else ""
            raise PostgresError(f"{error}\n{log}") from None

    def stop_immediately(self) -> None:
        """Stop as a crash does: no goodbye to the clients, recovery at the next start."""
        self.execute("pg_ctl", "stop", "--wait", "--mode=immediate", "-D", str(self.data))

    def create_database(self, name: str) -> str:
        """Make an empty database, in the place of one of that name, and return its URL."""
        statements = [f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"']
        target = ["-h", str(self.folder), "-p", str(self.port), "-U", "changeover", "-d", "postgres"]
        commands = [word for statement in statements for word in ("-c", statement)]
        self.execute("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *target, *commands)
        return self.url(name)

    def url(self, database: str) -> str:
        """For SQLAlchemy; asyncpg by itself takes it without the `+asyncpg`."""
        return f"postgresql+asyncpg://changeover@127.0.0.1:{self.port}/{database}"

    def execute(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the server's user, in a folder that this user may enter."""
        done = subprocess.run(
            [self.binaries / program, *arguments],
            cwd=self.folder,
            user=self.user,
            group=pwd.getpwnam(self.user).pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise PostgresError(f"{program} ended with {done.returncode}: {done.stdout}")


@contextlib.contextmanager
def running_postgres(binaries: Path) -> Iterator[Postgres]:
    """A cluster of one's own, for tests that stop it; the fixture `postgres` is shared and stays up."""
    folder = Path(
        tempfile.mkdtemp(prefix="changeover-postgres-")
    )  # not pytest's: the server may not enter those
    try:
        server = Postgres(binaries, folder)
        server.create()
        try:
            yield server
        finally:
            if (server.data / "postmaster.pid").exists():
                server.stop_immediately()
    finally:
        shutil.rmtree(folder)


def other_than_root() -> str | None:
    """Whom to become, when we are root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    return "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
