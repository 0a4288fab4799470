"""How long what is over is kept."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Each limit counts from an end; None is for good.

    `accounts`: who an account is, from the expiry of its last service. `names`: the names of servers in a
    change, from its end. `tries`: its wrong tries, from its end. `findings`: what the reconciler found, from
    when it was over.
    """

    accounts: timedelta | None = None
    names: timedelta | None = None
    tries: timedelta | None = timedelta(days=30)
    findings: timedelta | None = timedelta(days=90)

    @classmethod
    def of_days(cls, *, accounts: int, names: int, tries: int, findings: int) -> "Retention":
        """Return these limits in days; 0 is for good."""
        return cls(
            accounts=_limit(accounts), names=_limit(names), tries=_limit(tries), findings=_limit(findings)
        )


def _limit(days: int) -> timedelta | None:
    return timedelta(days=days) if days else None
