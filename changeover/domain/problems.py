"""Every refusal a person or a program can meet: a stable code, and its figures.

The codes are the last part of the problem types of the REST API. HTTP statuses and texts are elsewhere, each
in one table keyed by the code. Problems are exceptions, so that the facade raises them as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar, Self


@dataclass(eq=False)
class Problem(Exception):
    """A refusal with its figures. Two problems are equal when code and figures are."""

    code: ClassVar[str]
    blockers: ClassVar[tuple["Problem", ...]] = ()

    def among(self, blockers: "tuple[Problem, ...]") -> Self:
        """Say which blockers this is the first of; not one of its figures."""
        vars(self)["blockers"] = blockers
        return self

    @property
    def figures(self) -> dict[str, Any]:
        """The figures by name, as they are (dates as `datetime`)."""
        return {figure.name: getattr(self, figure.name) for figure in fields(self)}

    def __str__(self) -> str:
        figures = ", ".join(f"{name}={value}" for name, value in self.figures.items())
        return f"{self.code}: {figures}" if figures else self.code

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and self.code == other.code and self.figures == other.figures

    def __hash__(self) -> int:
        return hash(self.code)


# Blockers, in the order in which they are reported (DESIGN, section 5).


@dataclass(eq=False)
class ServiceExpired(Problem):
    code = "service-expired"
    expired_at: datetime


@dataclass(eq=False)
class ChangeInProgress(Problem):
    code = "change-in-progress"
    plan_change_id: str


@dataclass(eq=False)
class RecurringPaymentActive(Problem):
    code = "recurring-payment-active"


@dataclass(eq=False)
class ConfigurationInvalid(Problem):
    """`allowed` is a list of codes, or the range of a number (`min`, `max`, `step`)."""

    code = "configuration-invalid"
    field: str
    allowed: Any


@dataclass(eq=False)
class NothingChanges(Problem):
    code = "nothing-changes"


@dataclass(eq=False)
class ServersNotMarked(Problem):
    """`to_mark`: how many servers must be marked for deletion first."""

    code = "servers-not-marked"
    to_mark: int


@dataclass(eq=False)
class ServersMarkedMismatch(Problem):
    """`kept`: how many servers the marks leave, which the new `server_count` must be."""

    code = "servers-marked-mismatch"
    kept: int


@dataclass(eq=False)
class ChangeTooSoon(Problem):
    """`next_change_at`: from when a change is possible without Flexi+ and without a pass."""

    code = "change-too-soon"
    next_change_at: datetime


@dataclass(eq=False)
class NotConvertible(Problem):
    code = "not-convertible"


@dataclass(eq=False)
class InsufficientDays(Problem):
    """`required` and `remaining` are whole days, for the message."""

    code = "insufficient-days"
    required: int
    remaining: int


@dataclass(eq=False)
class TooManyDays(Problem):
    """`days_after` the change would leave, and `most` that it may."""

    code = "too-many-days"
    days_after: int
    most: int


@dataclass(eq=False)
class NoCapacity(Problem):
    """`free` addresses in the pool, and `needed` for the servers to create."""

    code = "no-capacity"
    free: int
    needed: int


# The others.


@dataclass(eq=False)
class RequestInvalid(Problem):
    """A malformed body, field or code; nothing was done or counted. `detail` is for a developer."""

    code = "request-invalid"
    field: str
    detail: str


@dataclass(eq=False)
class QuoteStale(Problem):
    """What was confirmed isn't what would happen now; `quote` is the fresh one, as the API shows it."""

    code = "quote-stale"
    quote: Mapping[str, Any]


@dataclass(eq=False)
class AcknowledgementMissing(Problem):
    """What must still be acknowledged: that nothing is refunded, and each server to be destroyed by id."""

    code = "acknowledgement-missing"
    no_refund: bool
    destroys: list[str]


@dataclass(eq=False)
class CodeWrong(Problem):
    code = "code-wrong"
    tries_left: int


@dataclass(eq=False)
class CodeExpired(Problem):
    """No code is valid at this moment; the try was not counted."""

    code = "code-expired"


@dataclass(eq=False)
class CodeLocked(Problem):
    """The code is void after too many wrong tries: ask for a new one."""

    code = "code-locked"


@dataclass(eq=False)
class ResendTooSoon(Problem):
    """`retry_after`: whole seconds until a new code may be asked for."""

    code = "resend-too-soon"
    retry_after: int


@dataclass(eq=False)
class ResendLimit(Problem):
    """`most` mails with a code were already asked for."""

    code = "resend-limit"
    most: int


@dataclass(eq=False)
class ChangeClosed(Problem):
    """The change has its outcome; nothing can alter it any more."""

    code = "change-closed"
    outcome: str
    reason: str | None = None


@dataclass(eq=False)
class NotFound(Problem):
    """No such thing, or another account's."""

    code = "not-found"
    what: str


@dataclass(eq=False)
class IdempotencyKeyMissing(Problem):
    code = "idempotency-key-missing"


@dataclass(eq=False)
class IdempotencyKeyReused(Problem):
    code = "idempotency-key-reused"


@dataclass(eq=False)
class Unauthorized(Problem):
    code = "unauthorized"


@dataclass(eq=False)
class EngineUnavailable(Problem):
    """Temporal or its worker doesn't answer; nothing is lost, the same key may be sent again."""

    code = "engine-unavailable"
    retry_after: int


BLOCKERS: tuple[type[Problem], ...] = (
    ServiceExpired,
    ChangeInProgress,
    RecurringPaymentActive,
    ConfigurationInvalid,
    NothingChanges,
    ServersNotMarked,
    ServersMarkedMismatch,
    ChangeTooSoon,
    NotConvertible,
    InsufficientDays,
    TooManyDays,
    NoCapacity,
)
"""The rules' refusals, in their fixed order."""

_OTHERS: tuple[type[Problem], ...] = (
    RequestInvalid,
    QuoteStale,
    AcknowledgementMissing,
    CodeWrong,
    CodeExpired,
    CodeLocked,
    ResendTooSoon,
    ResendLimit,
    ChangeClosed,
    NotFound,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    Unauthorized,
    EngineUnavailable,
)

PROBLEMS: Mapping[str, type[Problem]] = {problem.code: problem for problem in (*BLOCKERS, *_OTHERS)}
"""Every problem by its code."""


def to_record(problem: Problem) -> dict[str, Any]:
    """Return the problem as plain JSON values, as a row keeps it and an API shows it."""
    figures = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in problem.figures.items()
    }
    return {"code": problem.code, **figures}


def from_record(record: Mapping[str, Any]) -> Problem:
    """Return the problem that `to_record` wrote. Raises `KeyError` for an unknown code."""
    figures = dict(record)
    problem = PROBLEMS[figures.pop("code")]
    for figure in fields(problem):
        if figure.type is datetime:
            figures[figure.name] = datetime.fromisoformat(figures[figure.name])
    return problem(**figures)
