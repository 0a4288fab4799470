"""The whole examination: the starter's checks in this process, the worker's in one of its own."""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from changeover.diagnosis import Finding, Verdict, examine, ok, wrong
from changeover.settings import Settings, SettingsUnreadable, WorkerSettings, load, mistakes
from changeover.storage.database import Database
from starter.doctor.of_database import OfDatabase
from starter.doctor.of_temporal import OfTemporal

OF_WORKER: Final = ("keys", "host", "mail")
WORKER_SECONDS: Final = 30.0
"""How long the worker's process may take: its checks, and the time to start, on a machine that is busy."""
_READ_ON: Final = "docs/configuration.md explains every setting"


def _now() -> datetime:
    return datetime.now(UTC)


async def examined(
    *, send_to: str | None = None, language: str = "en", now: Callable[[], datetime] = _now
) -> list[Finding]:
    """Return all findings, within about ten seconds and the time that a process takes to start.

    `send_to` also sends a real mail there, in `language`. `now` is this machine's clock.
    """
    verdict, settings = _settings()
    findings = [Finding(check="settings", verdict=verdict)]
    if settings is None:
        return findings
    database = Database(settings.database_url)
    checks = [*OfDatabase(settings, database, now).checks(), *OfTemporal(settings, now).checks()]
    try:
        ours, theirs = await asyncio.gather(examine(checks), _of_worker(send_to, language))
    finally:
        with suppress(Exception):  # a connection that hangs may not even be closed
            await asyncio.wait_for(database.close(), 1)
    return [*findings, *ours, *theirs]


def _settings() -> tuple[Verdict, Settings | None]:
    """Judge the settings of both sides; those of the starter alone are enough to look at the rest."""
    wrongs: list[str] = []
    for kind in (WorkerSettings, Settings):
        try:
            settings = load(kind)
        except SettingsUnreadable as error:
            return wrong(str(error), _READ_ON), None
        except ValidationError as error:
            wrongs = wrongs or mistakes(error)
        else:
            verdict = wrong("; ".join(wrongs), _READ_ON) if wrongs else ok("complete")
            return verdict, settings
    return wrong("; ".join(wrongs), _READ_ON), None


async def _of_worker(send_to: str | None, language: str) -> list[Finding]:
    """Have a worker's process look: only a worker may reach hosts and mail servers."""
    arguments = ["-m", "worker", "--check", "--lang", language]
    if send_to is not None:
        arguments += ["--send-to", send_to]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, complaints = await asyncio.wait_for(process.communicate(), WORKER_SECONDS)
    except TimeoutError:
        return _missing(
            f"no answer within {WORKER_SECONDS:g} s", "run `python -m worker --check` to see more"
        )
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    lines = [line for line in output.decode().splitlines() if line.startswith("{")]
    if not lines:
        said = complaints.decode(errors="replace").strip().replace("\n", "; ")
        return _missing(said or f"it ended with {process.returncode}", _READ_ON)
    return [Finding.of_record(json.loads(line)) for line in lines]


def _missing(why: str, advice: str) -> list[Finding]:
    return [Finding(check=name, verdict=wrong(f"not looked at: {why}", advice)) for name in OF_WORKER]
