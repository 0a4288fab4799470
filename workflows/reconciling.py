"""The messages of the reconciler. What it finds stands in the database; a short account travels here."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class ReconcileOrder:
    """Look for what should never be. `dry_run` heals nothing and writes nothing."""

    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class CheckOrder:
    """Make one check; `at` is the workflow's time."""

    dry_run: bool
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that should never be. `certain`: the reconciler heals it by itself; else people decide."""

    kind: str
    subject: str
    detail: str
    certain: bool
    healed: bool


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What a check has found: how much, what of it was healed or needs attention, and the first ones.

    `cleaned` are rows that had their time (in a dry run: that would be deleted).
    """

    found: int = 0
    healed: int = 0
    attention: int = 0
    cleaned: int = 0
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReconcileReport:
    """`checks` by name; `failed` are checks that could not be made, and why."""

    dry_run: bool
    checks: dict[str, CheckResult] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def needs_attention(self) -> bool:
        return bool(self.failed) or any(check.attention for check in self.checks.values())
