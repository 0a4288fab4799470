"""What `changeover doctor` says of each thing around: how it is, a sentence with figures, and what to do.

A check stands alone: it has its own time limit, and one that hangs or breaks stops no other. Neither a secret
nor an e-mail address is ever in what is said, so a message holds no text of a driver's error.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Status(StrEnum):
    """`wrong` doesn't work, or will fail customers; a warning works today."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one thing is. `advice` says what to do; it is empty when there is nothing to do."""

    status: Status
    message: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A verdict, with the name of its check."""

    check: str
    verdict: Verdict

    @property
    def is_wrong(self) -> bool:
        return self.verdict.status is Status.WRONG

    @property
    def record(self) -> dict[str, Any]:
        """The finding as one JSON object. `ok` is true for warnings, too: they are no reason to stop."""
        return {
            "check": self.check,
            "status": self.verdict.status.value,
            "ok": not self.is_wrong,
            "message": self.verdict.message,
            "advice": self.verdict.advice,
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Finding":
        """Inverse of `record`."""
        verdict = Verdict(status=Status(record["status"]), message=record["message"], advice=record["advice"])
        return cls(check=record["check"], verdict=verdict)


def ok(message: str) -> Verdict:
    return Verdict(status=Status.OK, message=message)


def warning(message: str, advice: str) -> Verdict:
    return Verdict(status=Status.WARNING, message=message, advice=advice)


def wrong(message: str, advice: str) -> Verdict:
    return Verdict(status=Status.WRONG, message=message, advice=advice)


SECONDS: Final = 8.0
"""How long one check may take. All run at once, so this is about how long the doctor takes at most."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing to look at. `silent` is the advice when it doesn't answer or breaks."""

    name: str
    look: Callable[[], Awaitable[Verdict]]
    silent: str

    async def finding(self, seconds: float = SECONDS) -> Finding:
        """Look, for `seconds` at most; whatever goes wrong is a verdict."""
        try:
            async with asyncio.timeout(seconds):
                verdict = await self.look()
        except TimeoutError:
            verdict = wrong(f"no answer within {seconds:g} s", self.silent)
        except Exception as error:  # noqa: BLE001 - a driver's own: its text may hold a password
            verdict = wrong(f"no answer ({type(error).__name__})", self.silent)
        return Finding(check=self.name, verdict=verdict)


async def examine(checks: list[Check], seconds: float = SECONDS) -> list[Finding]:
    """Return what all checks find, in their order; they look at the same time."""
    return list(await asyncio.gather(*(check.finding(seconds) for check in checks)))


WARN_SECONDS: Final = 2.0
WRONG_SECONDS: Final = 30.0


def clock(whose: str, ahead: float, within: float) -> Verdict:
    """Judge how many seconds another's clock is ahead of ours, known to `within` seconds."""
    certain = max(0.0, abs(ahead) - within)
    direction = "ahead of" if ahead > 0 else "behind"
    said = f"{whose} is {abs(ahead):.1f} s {direction} this machine (to {within:.1f} s)"
    advice = "set both clocks by NTP (`timedatectl status`): codes and deadlines go by them"
    if certain > WRONG_SECONDS:
        return wrong(said, advice)
    if certain > WARN_SECONDS:
        return warning(said, advice)
    return ok(said)
