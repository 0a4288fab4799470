"""Work that keeps failing waits for an operator, says so everywhere, and goes on from there."""

from collections.abc import Awaitable, Callable, Iterable

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from workflows.messages import HostWork, Retry, Settled, Skip, Trouble
from workflows.ports import TroubleActivities
from workflows.transactions import transaction


class Troubles:
    """What waits for an operator in one run, and what the operator decided. `changed` shows it."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._decisions: dict[str, Retry | Skip] = {}
        self.waiting: dict[str, str] = {}

    def decide(self, decision: Retry | Skip) -> list[str]:
        """Take an operator's decision for all that waits, and return what that was."""
        self._decisions.update(dict.fromkeys(self.waiting, decision))
        return sorted(self.waiting)

    def check(self, decision: Retry | Skip) -> None:
        """Refuse a decision when nothing waits for one, or a skip without a reason."""
        if not self.waiting:
            raise ApplicationError("nothing waits for an operator here", type="nothing-waits")
        if isinstance(decision, Skip) and not decision.reason.strip():
            raise ApplicationError("a skip needs a reason", type="reason-missing")

    async def overcome(
        self,
        attempt: Callable[[], Awaitable[None]],
        *,
        name: str,
        change_id: str,
        work: HostWork,
        server_id: str | None = None,
        tell: Callable[[str | None], Awaitable[None]] | None = None,
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
            trouble = Trouble(
                change_id=change_id, work=work, server_id=server_id, problem=problem, at=workflow.now()
            )
            await transaction(TroubleActivities.raise_trouble, trouble, f"Record: {name} needs attention")
            self.waiting[name] = problem
            await self._tell(tell, problem)
            decision = await self._wait_for_decision(name)
            settled = Settled(
                change_id=change_id,
                work=work,
                server_id=server_id,
                actor=decision.actor,
                at=workflow.now(),
                skip=decision if isinstance(decision, Skip) else None,
            )
            again = await transaction(TroubleActivities.settle_trouble, settled, f"Record: {name}, decided")
            del self.waiting[name]
            await self._tell(tell, None)
            if not again:
                return None

    async def _tell(self, tell: Callable[[str | None], Awaitable[None]] | None, problem: str | None) -> None:
        self._changed()
        if tell is not None:
            await tell(problem)

    async def _wait_for_decision(self, name: str) -> Retry | Skip:
        await workflow.wait_condition(lambda: name in self._decisions)
        decision = self._decisions.pop(name)
        workflow.logger.info("%s: decided by %s", name, decision.actor)
        return decision


def describe(error: ActivityError) -> str:
    """Say what failed in one line; our activities never put a secret or an address into a failure.

    What a host said last is the innermost: when patience is over, a timeout is around it.
    """
    failure: BaseException = error
    while isinstance(failure, FailureError) and failure.cause is not None:
        failure = failure.cause
    return str(failure)


def as_list(lines: Iterable[str]) -> str:
    """Render lines as a Markdown list for the Temporal UI."""
    return "\n".join(f"- {line}" for line in lines)
