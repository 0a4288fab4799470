"""The real system in real processes, as a user starts it: `changeover up`, and the command line beside it."""

import email
import email.policy
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from changeover.domain.confirmation import ALPHABET
from starter.embedded.system import Ports

COMMAND = str(Path(sys.executable).with_name("changeover"))
CODE = re.compile(rf"\b[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}\b")
ALICE = "alice@example.com"


def clean_environment() -> dict[str, str]:
    """Return the environment without anything that points at a system."""
    ours = ("CHANGEOVER_", "TEMPORAL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def wait_until(what: Callable[[], bool], seconds: float = 60) -> None:
    give_up_at = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up_at, "it did not happen in time"
        time.sleep(0.1)


def free_port_base() -> int:
    """Return the first of five free ports in a row, below those that outgoing connections take."""
    return Ports.free().temporal


class Up:
    """A running `changeover up` on a folder of its own."""

    def __init__(self, folder: Path, port_base: int, environ: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port_base = port_base
        self._environ = dict(environ or {})
        self.output = folder.with_name(f"{folder.name}.out")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.output.open("wb") as output:
            command = [COMMAND, "up", "--dir", str(self.folder), "--port-base", str(self.port_base)]
            self._process = subprocess.Popen(
                command, env=clean_environment() | self._environ, stdout=output, stderr=subprocess.STDOUT
            )
        wait_until(self._is_ready, 90)

    def _is_ready(self) -> bool:
        assert self._process is not None
        text = self.output.read_text()
        assert self._process.poll() is None, text
        return "\nready\n" in text

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.interrupt()

    def processes(self) -> dict[int, str]:
        """Return the processes that belong to this system, by id."""
        assert self._process is not None
        listed = subprocess.run(
            ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        ).stdout
        found = {}
        for line in listed.splitlines():
            pid, parent, command = line.split(None, 2)
            if int(parent) == self._process.pid:
                found[int(pid)] = command
        return found

    def kill_worker(self) -> None:
        """Kill the worker with SIGKILL; `up` starts another."""
        (worker,) = [pid for pid, command in self.processes().items() if command.endswith("-m worker")]
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: worker not in self.processes())

    def run(self, *arguments: str, account: str | None = ALICE) -> subprocess.CompletedProcess[str]:
        """Run the command in a second terminal."""
        environ = clean_environment() | {"CHANGEOVER_DIR": str(self.folder)}
        who = ["--account", account] if account else []
        return subprocess.run(
            [COMMAND, *arguments, *who], env=environ, capture_output=True, text=True, check=False, timeout=120
        )

    def json(self, *arguments: str, account: str | None = ALICE) -> Any:
        """Run the command with --json; it must succeed."""
        done = self.run(*arguments, "--json", account=account)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def patiently(self, *arguments: str, account: str | None = ALICE) -> Any:
        """Run the command with --json; while the engine is away (exit code 4) run the very same again."""
        answers: list[subprocess.CompletedProcess[str]] = []

        def answered() -> bool:
            answers.append(self.run(*arguments, "--json", account=account))
            return answers[-1].returncode != 4

        wait_until(answered, 90)
        assert answers[-1].returncode == 0, (arguments, answers[-1].stdout, answers[-1].stderr)
        return json.loads(answers[-1].stdout)

    def mails(self, account: str = "") -> list[str]:
        """Return the plain texts of the mails that were caught (for one customer), in their order."""
        texts = []
        for file in sorted((self.folder / "mail").glob(f"*-{account or '*'}.eml")):
            message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            body = message.get_body(("plain",))
            assert body is not None
            texts.append(body.get_content())
        return texts

    def code(self, account: str = ALICE) -> str:
        """Wait for the customer's mail with a code and return the code."""
        wait_until(lambda: bool(self.codes(account)))
        return self.codes(account)[-1]

    def codes(self, account: str = "") -> list[str]:
        """Return the codes of the mails; a mail that was sent twice counts once."""
        found = [match[0] for text in self.mails(account) if (match := CODE.search(text))]
        return list(dict.fromkeys(found))

    def settings(self) -> dict[str, str]:
        lines = (self.folder / "changeover.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


@contextmanager
def running_up(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Up]:
    """Start a system, with these settings beside its own, and stop it."""
    up = Up(folder, free_port_base(), environ)
    up.start()
    try:
        yield up
    finally:
        up.end()
