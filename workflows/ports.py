"""The activities as workflows see them: names and types, without what they import."""

from typing import Protocol

from temporalio import activity

from workflows.messages import (
    Abandon,
    ChangeAt,
    ChangeState,
    CodeMailed,
    EvidenceResult,
    ForgetAt,
    Forgotten,
    HostOrder,
    JudgeCode,
    Judged,
    OpenChange,
    Opened,
    Raised,
    RecordEvidence,
    RequestCode,
    SendCode,
    SendOutcome,
    Settled,
    TeardownOrder,
    TeardownResult,
    Trouble,
)
from workflows.reconciling import CheckOrder, CheckResult


class DatabaseActivities(Protocol):
    """Short transactions. Each can be run again: it returns what was recorded the first time."""

    @activity.defn
    async def open_change(self, order: OpenChange) -> Opened:
        """Validate the request and open the change, or reject it."""
        ...

    @activity.defn
    async def judge_code(self, order: JudgeCode) -> Judged:
        """Check a code; the right one commits the change in the same transaction."""
        ...

    @activity.defn
    async def request_code(self, order: RequestCode) -> ChangeState:
        """Void the present code and open the next."""
        ...

    @activity.defn
    async def abandon_change(self, order: Abandon) -> ChangeState:
        """Close a change that awaits its code; return the recorded outcome when it doesn't any more."""
        ...

    @activity.defn
    async def complete_change(self, order: ChangeAt) -> ChangeState:
        """Close a committed change whose work is done."""
        ...


class TroubleActivities(Protocol):
    """What is recorded when work on hosts waits for an operator. Short transactions too."""

    @activity.defn
    async def raise_trouble(self, order: Trouble) -> Raised:
        """Record that work waits for an operator; of a teardown, say which steps are done."""
        ...

    @activity.defn
    async def settle_trouble(self, order: Settled) -> bool:
        """Record what an operator decided, and who; say whether the work is to be tried again."""
        ...

    @activity.defn
    async def teardown_is_done(self, order: TeardownOrder) -> bool:
        """Say whether the server's teardown is over."""
        ...


class EvidenceActivities(Protocol):
    """What an operator proves after a deletion was skipped."""

    @activity.defn
    async def record_evidence(self, order: RecordEvidence) -> EvidenceResult:
        """Record the evidence and free the address that the skip kept back."""
        ...


class MailActivities(Protocol):
    """Mails. The recipient is looked up inside, and never in a result or a failure."""

    @activity.defn
    async def send_code(self, order: SendCode) -> CodeMailed:
        """Mail a code, if it is still the current one."""
        ...

    @activity.defn
    async def send_outcome(self, order: SendOutcome) -> None:
        """Mail what became of the change."""
        ...


class ServerActivities(Protocol):
    """Work on hosts. Each re-checks the database before it touches anything, and can be repeated."""

    @activity.defn
    async def create_servers(self, order: HostOrder) -> None:
        """Create the change's new servers on the host."""
        ...

    @activity.defn
    async def apply_limits(self, order: HostOrder) -> None:
        """Give the kept servers their new slots and options."""
        ...

    @activity.defn
    async def tear_down(self, order: TeardownOrder) -> TeardownResult:
        """Walk the steps that destroy a server, from the first that has no receipt yet."""
        ...


class PrivacyActivities(Protocol):
    """What operators decide about a person's data."""

    @activity.defn
    async def forget_account(self, order: ForgetAt) -> Forgotten:
        """Remove the person's data, unless a service or a change still needs it."""
        ...


class ReconcileActivities(Protocol):
    """The checks of the reconciler. Each heals what is certain, unless it is a dry run."""

    @activity.defn
    async def check_open_changes(self, order: CheckOrder) -> CheckResult:
        """Look for open changes, and teardowns of theirs, whose run is gone."""
        ...

    @activity.defn
    async def check_outcome_mails(self, order: CheckOrder) -> CheckResult:
        """Look for closed changes whose outcome mail was lost with its run."""
        ...

    @activity.defn
    async def check_runs(self, order: CheckOrder) -> CheckResult:
        """Look for runs that go on although the database has nothing open for them."""
        ...

    @activity.defn
    async def check_servers(self, order: CheckOrder) -> CheckResult:
        """Compare the servers on the host with those in the database."""
        ...

    @activity.defn
    async def check_addresses(self, order: CheckOrder) -> CheckResult:
        """Look for addresses that nobody can use or that two could."""
        ...

    @activity.defn
    async def check_marks(self, order: CheckOrder) -> CheckResult:
        """Look for marks on services that have long expired."""
        ...

    @activity.defn
    async def clean_up(self, order: CheckOrder) -> CheckResult:
        """Delete what has had its time."""
        ...
