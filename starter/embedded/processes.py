"""Child processes that never outlive us, and whose trouble is told with the end of their log."""

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 40  # a worker takes 30 s at most to finish what it has begun


class ProcessFailed(Exception):
    """A part of the embedded system did not start, or ended by itself."""


class Part:
    """One process of the system, with its log."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        log: Path,
        *,
        answers: bool = False,
    ) -> "Part":
        """Start `command`; its output goes to `log`, or with `answers` its stdout to us."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=dict(environ),
                stdin=DEVNULL,
                stdout=PIPE if answers else file,
                stderr=file,
                start_new_session=True,  # Ctrl-C is ours to hear: the parts are stopped in order
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        return cls(name, process, log)

    async def first_line(self, timeout_seconds: float = 30) -> str:
        """Return the first line that the process says. Raises `ProcessFailed` when it says none."""
        assert self.process.stdout is not None, "started with answers=True"
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), timeout_seconds)
        except TimeoutError:
            line = b""
        if not line:
            raise ProcessFailed(self.trouble())
        return line.decode()

    @property
    def runs(self) -> bool:
        return self.process.returncode is None

    async def stop(self) -> None:
        """Ask it to end, by its own process id; make it end when it takes too long."""
        if self.runs:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), _STOP_SECONDS)
            except TimeoutError:
                self.process.kill()
        await self.process.wait()

    def trouble(self) -> str:
        """Say how the process is, with the end of its log."""
        code = self.process.returncode
        how = "does not answer" if code is None else f"ended ({_reason(code)})"
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
        return "\n".join([f"{self.name} {how}; the end of {self.log}:", *(f"  {line}" for line in lines)])


def _reason(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _end_with_parent() -> None:
    """Have the kernel end this process when its parent is gone, however that came (Linux)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:
        os._exit(1)
