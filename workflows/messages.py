"""What travels through Temporal: one frozen message per call. No code, no e-mail address, ever.

New fields get defaults, so that histories of earlier releases replay.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from changeover.domain.catalogue import Configuration
from changeover.domain.confirmation import CodePolicy, CodeState
from changeover.domain.lifecycle import AbandonReason, Stage
from changeover.domain.teardown import Step

OPERATOR = "operator"
"""The name in the trail of an operator who gave none."""


@dataclass(frozen=True, kw_only=True)
class ChangeRequest:
    """A customer's click: what was quoted (by its digest), what was acknowledged, and the change's id.

    `fingerprint` identifies the request's body; `destroys` are the ids of the servers given up.
    """

    change_id: str
    account_id: str
    service_id: str
    fingerprint: str
    configuration: Configuration
    digest: str
    no_refund: bool
    destroys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """A server that the change destroys."""

    server_id: str
    name: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Recap:
    """What was asked for, as it was accepted (or rejected): it never changes, and is told a run once.

    `before` and `after` are the configurations in one line; days are whole days left at T0, None where they
    can't be worked out.
    """

    change_id: str
    before: str
    after: str
    code_policy: CodePolicy
    days_before: int | None = None
    days_after: int | None = None
    gives_up: tuple[GivenUp, ...] = ()
    creates: int = 0
    new_limits: bool = False
    spends_pass: bool = False

    @property
    def title(self) -> str:
        return f"{self.before} -> {self.after}"


@dataclass(frozen=True, kw_only=True)
class ChangeState:
    """Where a change stands, as its row has it: what a run follows. `codes` only while it awaits one."""

    stage: Stage
    reason: str | None = None
    cause: str | None = None
    new_expires_at: datetime | None = None
    codes: CodeState | None = None


@dataclass(frozen=True, kw_only=True)
class OpenChange:
    """Validate and open. `at` is the workflow's time: cut to the second, it is T0."""

    request: ChangeRequest
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What the customer is told of a request that was accepted, and the fingerprint of its body."""

    fingerprint: str
    as_of: datetime
    new_expires_at: datetime
    window_ends_at: datetime


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The first answer to a request: accepted (`awaiting_code` or later) or `rejected` with its reason.

    `accepted` is there when it was this run's request that was accepted; else the change's row says more.
    """

    stage: Stage
    reason: str | None = None
    accepted: Accepted | None = None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What opening gave. `change` is another change when this run adopts one whose own run is gone.

    `as_of` is T0 of a change that awaits its code and was opened by this very request; its key may have been
    used for another body.
    """

    answer: Answer
    change: ChangeState
    recap: Recap
    as_of: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class CodeAttempt:
    """A try: the number of the code it is for, and the proof of what was typed."""

    change_id: str
    number: int
    proof: str


@dataclass(frozen=True, kw_only=True)
class JudgeCode:
    """Judge a try that arrived `at`; the right code commits the change in the same transaction."""

    attempt: CodeAttempt
    at: datetime


class Judgement(StrEnum):
    """What became of a try. `moot`: the change was closed before it was judged."""

    ACCEPTED = "accepted"
    WRONG = "wrong"
    LOCKED = "locked"
    EXPIRED = "expired"
    STALE = "stale"
    MOOT = "moot"


@dataclass(frozen=True, kw_only=True)
class Judged:
    judgement: Judgement
    change: ChangeState


@dataclass(frozen=True, kw_only=True)
class CodeAnswer:
    """The answer to a try: how it was judged, how many are left, and where the change stands now."""

    judgement: Judgement
    tries_left: int
    stage: Stage
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class ResendCode:
    change_id: str


@dataclass(frozen=True, kw_only=True)
class RequestCode:
    """Void the present code and make number `number` the current one."""

    change_id: str
    number: int
    at: datetime


@dataclass(frozen=True, kw_only=True)
class CancelChange:
    """Give the change up. `actor` is `customer`, or the operator's name."""

    change_id: str
    actor: str = OPERATOR


@dataclass(frozen=True, kw_only=True)
class Abandon:
    change_id: str
    reason: AbandonReason
    actor: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class ChangeAt:
    """A change, and the workflow's time."""

    change_id: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class ChangeResult:
    """How a run ended: the outcome, and why when it isn't `completed`."""

    change_id: str
    outcome: Stage
    reason: str | None = None
    cause: str | None = None


@dataclass(frozen=True, kw_only=True)
class SendCode:
    change_id: str
    number: int


class Handover(StrEnum):
    """`moot`: the code isn't the current one any more, nothing was sent."""

    HANDED_OVER = "handed_over"
    REFUSED = "refused"
    MOOT = "moot"


@dataclass(frozen=True, kw_only=True)
class CodeMailed:
    handover: Handover
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SendOutcome:
    """Mail what became of a change, not before `after`. `title` is what a run of its own shows operators.

    `taken` is what a mail server said to an attempt that could not record it; then nothing is mailed again.
    """

    change_id: str
    title: str = ""
    after: datetime | None = None
    taken: bool | None = None


class HostWork(StrEnum):
    """What a committed change has to do on hosts."""

    CREATE = "create"
    LIMITS = "limits"
    TEARDOWN = "teardown"


@dataclass(frozen=True, kw_only=True)
class HostOrder:
    """Do the host work of a committed change; the rest is read from the database."""

    change_id: str


@dataclass(frozen=True, kw_only=True)
class TeardownOrder:
    """Destroy a server that a committed change names; the rest is read from the database."""

    change_id: str
    server_id: str


@dataclass(frozen=True, kw_only=True)
class TeardownResult:
    """`refused`: no committed change names the server; nothing was touched."""

    server_id: str
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Work that keeps failing: it waits for an operator. `server_id` is None when it concerns all of them."""

    change_id: str
    work: HostWork
    server_id: str | None
    problem: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """A step of a teardown that has its receipt; `skipped` when an operator went on without it."""

    step: Step
    at: datetime
    skipped: bool = False


@dataclass(frozen=True, kw_only=True)
class Raised:
    """A `Trouble`, recorded. Of a teardown: the steps that are done, in their order."""

    steps: tuple[StepDone, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Retry:
    """An operator's order to try again what keeps failing. It is refused by another change's run.

    `actor` is the operator's name. Without a `change_id` it is meant for whatever the run is about.
    """

    change_id: str | None = None
    actor: str = OPERATOR


@dataclass(frozen=True, kw_only=True)
class Skip:
    """An operator's order to go on without the step that keeps failing. Refused by another change's run.

    `reason` says why. `evidence` proves that what the step deletes is gone: without it, the address of the
    server is kept back until evidence is given. `actor` is the operator's name.
    """

    reason: str
    evidence: str | None = None
    change_id: str | None = None
    actor: str = OPERATOR


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What an operator decided about a `Trouble`; `skip` is None for another try."""

    change_id: str
    work: HostWork
    server_id: str | None
    actor: str
    at: datetime
    skip: Skip | None = None


@dataclass(frozen=True, kw_only=True)
class EvidenceOrder:
    """Evidence that a server whose deletion was skipped is gone, so that its address can be given again."""

    server_id: str
    evidence: str
    actor: str = "operator"


@dataclass(frozen=True, kw_only=True)
class RecordEvidence:
    """Record the evidence `at` the workflow's time."""

    order: EvidenceOrder
    at: datetime


class EvidenceOutcome(StrEnum):
    """What became of evidence; only `recorded` changed anything.

    `unknown`: no committed change gave the server up. `not_over`: its teardown still runs. `remains`: the
    host still has the server. `nothing_held`: its address isn't kept back, or belongs to another. `missing`:
    no evidence was given.
    """

    RECORDED = "recorded"
    RECORDED_BEFORE = "recorded_before"
    UNKNOWN = "unknown"
    NOT_OVER = "not_over"
    REMAINS = "remains"
    NOTHING_HELD = "nothing_held"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class EvidenceResult:
    """`free_from` is when the address may be given again, None when it was not freed by this."""

    server_id: str
    outcome: EvidenceOutcome
    address: str | None = None
    free_from: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class TeardownNews:
    """A teardown tells its change that it waits for an operator (`problem`), or no longer does (None)."""

    server_id: str
    problem: str | None
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Status:
    """What the `status` query shows an operator."""

    change_id: str
    stage: Stage
    waiting_for: str
    deadline: datetime | None
    codes_asked_for: int
    tries_left: int | None
    troubles: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Forget:
    """An operator's order to remove a person's data. `actor` is the operator's name."""

    account_id: str
    actor: str


@dataclass(frozen=True, kw_only=True)
class ForgetAt:
    """The order, at the workflow's time."""

    account_id: str
    actor: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What became of it: `at` says when the account was forgotten, first of all; None means that it wasn't.

    `unexpired` are the services and `open_changes` the changes that still need the person's data.
    `servers_left` counts the servers that the host still has, with what the customer keeps there.
    """

    account_id: str
    actor: str
    found: bool = True
    at: datetime | None = None
    unexpired: tuple[str, ...] = ()
    open_changes: tuple[str, ...] = ()
    servers_left: int = 0
