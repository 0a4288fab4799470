"""Where a run of a plan change stands: what its handlers and phases ask, and what operators see of it."""

from collections.abc import Callable
from datetime import datetime

from temporalio import workflow

from changeover.domain import problems
from changeover.domain.confirmation import CodeState
from changeover.domain.lifecycle import Stage, outcome
from workflows import ids, search_attributes
from workflows.display import change_details
from workflows.messages import ChangeState, Opened, Recap, TeardownNews
from workflows.refusals import as_failure
from workflows.troubles import Troubles, Waiting


class Standing:
    """The state of a run, followed from what the database recorded. None until the change is opened."""

    def __init__(self) -> None:
        self._opened: Recap | None = None
        self._change: ChangeState | None = None
        self._last_codes: CodeState | None = None
        self._troubles = Troubles(self._show)
        self._teardown_troubles: dict[str, Waiting] = {}
        self._shown = search_attributes.Shown(Stage.REQUESTED)

    @property
    def _recap(self) -> Recap:
        assert self._opened is not None, "nothing is asked of a change before it is opened"
        return self._opened

    @property
    def _present(self) -> ChangeState:
        assert self._change is not None, "nothing is asked of a change before it is opened"
        return self._change

    @property
    def _codes(self) -> CodeState:
        """How the codes stand, or stood when the change ceased to await one."""
        assert self._last_codes is not None, "only a change that awaited a code is asked"
        return self._last_codes

    @property
    def _awaiting_code(self) -> bool:
        return self._change is not None and self._change.stage is Stage.AWAITING_CODE

    @property
    def _deadline(self) -> datetime:
        return self._codes.ends_at(self._recap.code_policy)

    @property
    def _mail_queue(self) -> str:
        return ids.mail_queue(workflow.info().task_queue)

    @property
    def _all_troubles(self) -> dict[str, str]:
        teardowns = {f"teardown of {server}": it for server, it in self._teardown_troubles.items()}
        return {name: it.problem for name, it in (self._troubles.waiting | teardowns).items()}

    async def _until_opened(self, check: Callable[[], None]) -> None:
        """Wait until the change is open: after a reset, what was sent comes first. Its check comes then."""
        if self._change is None:
            await workflow.wait_condition(lambda: self._change is not None)
            check()

    def _must_await_code(self, change_id: str) -> ChangeState | None:
        """Refuse what is meant for another change, or comes when this one is closed or committed.

        None before the change is opened: what is sent then waits for it (see `_until_opened`).
        """
        change = self._change
        if change is None:
            return None
        if self._recap.change_id != change_id:
            raise as_failure(problems.NotFound(what="plan change"))
        if change.stage is not Stage.AWAITING_CODE:
            closed = problems.ChangeClosed(
                outcome=outcome(change.stage) or change.stage, reason=change.reason
            )
            raise as_failure(closed)
        return change

    def _begin(self, opened: Opened) -> None:
        self._opened = opened.recap
        self._follow(opened.change)

    def _follow(self, change: ChangeState) -> None:
        self._change = change
        self._last_codes = change.codes or self._last_codes
        self._show()

    def _show(self) -> None:
        """Let operators see where the run stands: details always, search attributes when they change."""
        if self._change is None:
            return
        change, troubles = self._change, self._troubles.waiting
        workflow.set_current_details(change_details(self._recap, change, troubles, self._teardown_troubles))
        deadline = self._deadline if self._awaiting_code else None
        troubled = bool(self._all_troubles)
        updates = self._shown.updates(change.stage, change.reason, deadline, troubled=troubled)
        if updates:
            workflow.upsert_search_attributes(updates)

    def _hear(self, news: TeardownNews) -> None:
        """Note that a teardown waits for an operator, or no longer does."""
        self._teardown_troubles.pop(news.server_id, None)
        if news.problem is not None:
            waiting = Waiting(problem=news.problem, since=news.since or workflow.now())
            self._teardown_troubles[news.server_id] = waiting
        self._show()
