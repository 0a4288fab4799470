"""The compose file's own services as plain processes: its commands, its environment, its secrets as files.

Its hosts are this machine: a real PostgreSQL, Temporal's dev server, and a mail server that insists on TLS.
"""

import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trustme
import yaml

from changeover.domain.confirmation import ALPHABET
from starter.embedded import temporal_server
from tests.e2e.running import clean_environment, free_port_base, wait_until
from tests.mail.servers import PASSWORD, USERNAME, Script, scripted_server
from tests.support.postgres import Postgres

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
NAMESPACE = COMPOSE["services"]["temporal-namespace"]["environment"]["TEMPORAL_NAMESPACE"]
PROGRAM = str(Path(sys.executable).with_name("changeover"))
_CODE = re.compile(rf"\b[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}\b")


class Installation:
    """One installation; services are named as in the compose file."""

    def __init__(self, folder: Path, postgres: Postgres, mail_port: int, ca_file: Path) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        self.servers = folder / "servers"
        self.servers.mkdir(parents=True)
        self.ports = free_port_base()
        self._postgres = postgres
        self._mail = {
            "CHANGEOVER_SMTP_HOST": "localhost",
            "CHANGEOVER_SMTP_PORT": str(mail_port),
            "CHANGEOVER_SMTP_USERNAME": USERNAME,
            "CHANGEOVER_SMTP_CA_FILE": str(ca_file),
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def temporal_address(self) -> str:
        return f"127.0.0.1:{self.ports}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.ports + 2}"

    def make_secrets(self) -> None:
        subprocess.run(
            [DEPLOY / "make-secrets.sh", self.secrets, "postgres"],
            input=PASSWORD.encode() + b"\n",
            check=True,
            env=clean_environment(),
        )
        url = self.secrets / "CHANGEOVER_DATABASE_URL"
        here = url.read_text().replace("@postgres:5432/", f"@127.0.0.1:{self._postgres.port}/")
        url.write_text(here)

    def make_database(self) -> None:
        """Run what PostgreSQL's image runs in an empty cluster; the shared cluster of the tests isn't one."""
        environ = clean_environment() | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self._postgres.port),
            "POSTGRES_USER": "changeover",
            "SECRETS": str(self.secrets),
        }
        again = [
            "DROP DATABASE IF EXISTS changeover WITH (FORCE)",
            "DROP ROLE IF EXISTS changeover_service",
            "DROP ROLE IF EXISTS temporal",
        ]
        psql = ["psql", "-X", "-q", "-U", "changeover", "-d", "postgres"]
        subprocess.run([*psql, *(it for each in again for it in ("-c", each))], env=environ, check=True)
        subprocess.run([DEPLOY / "postgres/init.sh"], env=environ, check=True)

    def environment(self, service: str) -> dict[str, str]:
        """Return what the container would have, its hosts replaced by this machine's."""
        described = COMPOSE["services"][service]
        mounted = self.folder / "mounted" / service
        mounted.mkdir(parents=True, exist_ok=True)
        for name in described["secrets"]:
            file = mounted / name
            file.unlink(missing_ok=True)
            file.write_bytes((self.secrets / name).read_bytes())
            file.chmod(0o600)
        lines = (DEPLOY / "changeover.env.example").read_text(encoding="utf-8").splitlines()
        example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        environ = example | described["environment"] | self._mail
        places = {
            "temporal:7233": self.temporal_address,
            "/run/secrets": str(mounted),
            "/srv/servers": str(self.servers),
            "0.0.0.0:9464": "127.0.0.1:0",
        }
        return {name: places.get(value, value) for name, value in environ.items()}

    def command(self, service: str) -> list[str]:
        given = COMPOSE["services"][service]["command"]
        here = {"8080": str(self.ports + 2), "0.0.0.0": "127.0.0.1"}
        return [PROGRAM, *(here.get(word, word) for word in given)]

    def run(self, service: str, *more: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a service that ends, or with `more` another command in its place, as `compose run` does."""
        command = [PROGRAM, *more] if more else self.command(service)
        return subprocess.run(
            command,
            env=clean_environment() | self.environment(service) | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=self.folder,
        )

    def start(
        self, service: str, name: str | None = None, *, tree: Path | None = None, **environ: str
    ) -> None:
        """Start a service that stays; `name` tells several of one kind apart, `tree` is another release."""
        if tree is not None:
            environ["PYTHONPATH"] = str(tree)
        name = name or service
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.command(service),
                env=clean_environment() | self.environment(service) | environ,
                stdout=log,
                stderr=log,
                cwd=tree or self.folder,
            )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def start_temporal(self) -> None:
        command = temporal_server.command(self.ports, self.ports + 1, self.folder / "temporal.db")
        with self.log("temporal").open("ab") as log:
            self.processes["temporal"] = subprocess.Popen(command, stdout=log, stderr=log)
        health = [str(temporal_server.executable()), "operator", "cluster", "health"]
        wait_until(
            lambda: (
                subprocess.run(
                    [*health, "--address", self.temporal_address], capture_output=True, check=False
                ).returncode
                == 0
            )
        )
        # The other one is what `deploy/temporal/namespace.sh` makes.
        environ = clean_environment() | {
            "PATH": f"{temporal_server.executable().parent}:{os.environ['PATH']}",
            "TEMPORAL_ADDRESS": self.temporal_address,
            "TEMPORAL_NAMESPACE": NAMESPACE,
        }
        subprocess.run([DEPLOY / "temporal/namespace.sh"], env=environ, check=True, capture_output=True)

    def says(self, name: str, text: str) -> None:
        def said() -> bool:
            assert self.processes[name].poll() is None, self.log(name).read_text()
            return text in self.log(name).read_text()

        wait_until(said)

    def stop(self, name: str) -> int:
        """Tell it to end as its supervisor does, and return its exit code."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(60)

    @contextmanager
    def ended(self) -> Iterator[None]:
        try:
            yield
        finally:
            for process in reversed(self.processes.values()):
                process.terminate()
            for process in self.processes.values():
                process.wait(60)


def codes_in(post: Script, recipient: str) -> list[str]:
    """Return the codes that were mailed to someone, in their order."""
    found = []
    for number, envelope in enumerate(post.received):
        if envelope.rcpt_tos == [recipient]:
            body = post.message(number).get_body(("plain",))
            assert body is not None
            found += _CODE.findall(body.get_content())[:1]
    return found


@asynccontextmanager
async def installed(
    folder: Path, postgres: Postgres, post: Script, **environ: str
) -> AsyncIterator[Installation]:
    """Install as docs/operations/installation.md says, up to the workers; `post` takes the mails."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    async with scripted_server(post, starttls=tls) as port:
        installation = Installation(folder / "installation", postgres, port, folder / "ca.pem")
        with installation.ended():
            await asyncio.to_thread(_prepare, installation, environ)
            yield installation


def _prepare(installation: Installation, environ: Mapping[str, str]) -> None:
    installation.make_secrets()
    installation.make_database()
    installation.start_temporal()
    for arguments in ((), ("setup", "--example")):
        done = installation.run("setup", *arguments, **environ)
        assert done.returncode == 0, done.stderr
