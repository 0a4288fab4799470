"""Work that keeps failing waits for an operator, says so everywhere, and goes on from there."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from workflows.messages import HostWork, Retry, Settled, Skip, StepDone, Trouble
from workflows.operators import check_order, signed
from workflows.ports import TroubleActivities
from workflows.transactions import transaction


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What waits for an operator: what failed last, since when, and the steps of a teardown that are done."""

    problem: str
    since: datetime
    steps: tuple[StepDone, ...] = ()


Tell = Callable[[Waiting | None], Awaitable[None]]


class Troubles:
    """What waits for an operator in one run, and what the operator decided. `changed` shows it."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._decisions: dict[str, Retry | Skip] = {}
        self.waiting: dict[str, Waiting] = {}

    def decide(self, decision: Retry | Skip) -> list[str]:
        """Take an operator's decision for all that waits for one, and return what that was."""
        undecided = self._undecided
        self._decisions.update(dict.fromkeys(undecided, decision))
        return undecided

    @property
    def _undecided(self) -> list[str]:
        return sorted(self.waiting.keys() - self._decisions.keys())

    def check(self, decision: Retry | Skip, change_id: str) -> None:
        """Refuse a decision when nothing waits for one, or that can't be taken (see `check_order`)."""
        check_order(decision, change_id)
        if not self._undecided:
            raise ApplicationError(
                "nothing waits for an operator here: this run is at work, or records what was decided, or it "
                "is another run that waits (a destruction waits in the run teardown/<server id>)",
                type="nothing-waits",
                non_retryable=True,
            )

    async def overcome(
        self,
        attempt: Callable[[], Awaitable[None]],
        *,
        name: str,
        change_id: str,
        work: HostWork,
        server_id: str | None = None,
        tell: Tell | None = None,
    ) -> None:
        """Make `attempt` until it succeeds or an operator skips it (of a teardown, one step at a time).

        A failure of it is one that was retried for hours, or that retrying can't mend. `tell` hears of each
        problem, and of its end by None.
        """
        while True:
            try:
                return await attempt()
            except ActivityError as error:
                problem = describe(error)
            since = workflow.now()
            trouble = Trouble(change_id=change_id, work=work, server_id=server_id, problem=problem, at=since)
            raised = await transaction(
                TroubleActivities.raise_trouble, trouble, f"Record: {name} needs attention"
            )
            self.waiting[name] = Waiting(problem=problem, since=since, steps=raised.steps)
            await self._tell(tell, self.waiting[name])
            decision = await self._wait_for_decision(name)
            settled = Settled(
                change_id=change_id,
                work=work,
                server_id=server_id,
                actor=signed(decision.actor),
                at=workflow.now(),
                skip=decision if isinstance(decision, Skip) else None,
            )
            again = await transaction(TroubleActivities.settle_trouble, settled, f"Record: {name}, decided")
            del self.waiting[name], self._decisions[name]  # only now: one decision for each trouble
            await self._tell(tell, None)
            if not again:
                return None

    async def _tell(self, tell: Tell | None, waiting: Waiting | None) -> None:
        self._changed()
        if tell is not None:
            await tell(waiting)

    async def _wait_for_decision(self, name: str) -> Retry | Skip:
        await workflow.wait_condition(lambda: name in self._decisions)
        decision = self._decisions[name]
        workflow.logger.info("%s: decided by %s", name, signed(decision.actor))
        return decision


def describe(error: ActivityError) -> str:
    """Say what failed in one line; our activities never put a secret or an address into a failure.

    What a host said last is the innermost: when patience is over, a timeout is around it.
    """
    failure: BaseException = error
    while isinstance(failure, FailureError) and failure.cause is not None:
        failure = failure.cause
    return str(failure)
