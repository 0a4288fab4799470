"""The e-mailed code: its form, its limits, and what may be done with it at a moment.

Eight letters of an alphabet without vowels and look-alikes, as RFC 8628 (section 6.1) advises for codes that
people type: 20^8 codes, at most 10 tries per change.
"""

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

from changeover.domain.problems import RequestInvalid, ResendLimit, ResendTooSoon

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8


def normalise(typed: str) -> str:
    """Return the eight letters of a typed code; case, spaces and punctuation are forgiven.

    Raises `RequestInvalid` for what can't be a code: nothing is counted for it.
    """
    letters = "".join(c for c in unicodedata.normalize("NFKC", typed) if c.isalnum()).upper()
    if len(letters) != LENGTH or not set(letters) <= set(ALPHABET):
        raise RequestInvalid(field="code", detail=f"a code is {LENGTH} letters of {ALPHABET}")
    return letters


def display(code: str) -> str:
    """Return the code as it is shown: `XXXX-XXXX`."""
    return f"{code[:4]}-{code[4:]}"


@dataclass(frozen=True, kw_only=True)
class CodePolicy:
    """The limits of codes. `ttl` counts from when the mail was handed over, `window` from T0."""

    ttl: timedelta = field(default=timedelta(minutes=10))
    window: timedelta = field(default=timedelta(minutes=60))
    resend_after: timedelta = field(default=timedelta(seconds=60))
    most_mails: int = 3
    tries_per_code: int = 5
    tries_per_change: int = 10


class Verdict(StrEnum):
    """What becomes of a try before its letters are looked at."""

    JUDGED = "judged"
    LOCKED = "locked"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class CodeState:
    """Where a change stands with its codes.

    `number` is that of the code asked for last (1 to `most_mails`); `handed_over_at` when the mail with it
    was handed to the mail server, None until then.
    """

    number: int
    handed_over_at: datetime | None
    wrong_on_code: int
    wrong_on_change: int
    window_ends_at: datetime

    def tries_left(self, policy: CodePolicy) -> int:
        left_on_code = policy.tries_per_code - self.wrong_on_code
        return max(0, min(left_on_code, policy.tries_per_change - self.wrong_on_change))

    def expires_at(self, policy: CodePolicy) -> datetime | None:
        """Return the moment from which the code isn't valid any more; None until the mail is handed over."""
        if self.handed_over_at is None:
            return None
        return min(self.handed_over_at + policy.ttl, self.window_ends_at)

    def verdict(self, policy: CodePolicy, now: datetime) -> Verdict:
        """Say whether a try that arrived at `now` is judged."""
        if self.tries_left(policy) == 0:
            return Verdict.LOCKED
        expires_at = self.expires_at(policy)
        if expires_at is None or now >= expires_at:
            return Verdict.EXPIRED
        return Verdict.JUDGED

    def resend_refusal(self, policy: CodePolicy, now: datetime) -> ResendTooSoon | ResendLimit | None:
        """Say why no new code can be asked for at `now`, or None when one can."""
        if self.number >= policy.most_mails:
            return ResendLimit(most=policy.most_mails)
        if self.handed_over_at is None:
            return ResendTooSoon(retry_after=ceil(policy.resend_after.total_seconds()))
        wait = self.handed_over_at + policy.resend_after - now
        return ResendTooSoon(retry_after=ceil(wait.total_seconds())) if wait > timedelta(0) else None

    def used_up(self, policy: CodePolicy) -> bool:
        """Say whether no further try can ever be judged: the change is to be abandoned at once."""
        change_used_up = self.wrong_on_change >= policy.tries_per_change
        return change_used_up or (self.tries_left(policy) == 0 and self.number >= policy.most_mails)

    def ends_at(self, policy: CodePolicy) -> datetime:
        """Return when the change is over if nothing happens: the window's end, or the last code's."""
        last_code_ends = self.expires_at(policy) if self.number >= policy.most_mails else None
        return last_code_ends or self.window_ends_at
