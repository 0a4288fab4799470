"""The part of the story that can't be undone: what was committed is done on hosts, however long it takes."""

from collections.abc import Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from changeover.domain.lifecycle import Stage
from workflows import fairness, ids, policies, search_attributes
from workflows.messages import (
    ChangeRequest,
    GivenUp,
    HostOrder,
    HostWork,
    Retry,
    Skip,
    TeardownNews,
    TeardownOrder,
)
from workflows.ports import ServerActivities, TroubleActivities
from workflows.server_teardown import ServerTeardown
from workflows.standing import Standing
from workflows.transactions import transaction


class CarryingOut(Standing):
    """New servers, new limits, one teardown per server given up, side by side."""

    _request: ChangeRequest

    def _work(self) -> list[Coroutine[Any, Any, None]]:
        """Return all that hosts have to do; each goes on until it is done, or an operator skips it."""
        recap = self._recap
        work = [self._tear_down(server) for server in recap.gives_up]
        if recap.creates:
            work.append(self._host_work(HostWork.CREATE, f"Create {recap.creates} server(s)"))
        if recap.new_limits:
            work.append(self._host_work(HostWork.LIMITS, "Apply new limits"))
        return work

    async def _host_work(self, work: HostWork, summary: str) -> None:
        change_id = self._recap.change_id
        activity = {
            HostWork.CREATE: ServerActivities.create_servers,
            HostWork.LIMITS: ServerActivities.apply_limits,
        }[work]

        async def attempt() -> None:
            await workflow.execute_activity_method(
                activity,
                HostOrder(change_id=change_id),
                schedule_to_close_timeout=policies.HOST_PATIENCE,
                start_to_close_timeout=policies.HOST_ATTEMPT,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.HOST_RETRY,
                summary=summary,
                priority=fairness.LATER,
            )

        await self._troubles.overcome(attempt, name=summary, change_id=change_id, work=work)

    async def _tear_down(self, server: GivenUp) -> None:
        """Have a child destroy the server; one that was terminated is started again until it is done."""
        recap, request, run = self._recap, self._request, workflow.info().workflow_id
        order = TeardownOrder(change_id=recap.change_id, server_id=server.server_id)
        done = False
        while not done:
            try:
                await workflow.execute_child_workflow(
                    ServerTeardown.run,
                    order,
                    id=ids.teardown_workflow_id(server.server_id),
                    parent_close_policy=ParentClosePolicy.ABANDON,
                    search_attributes=search_attributes.at_start(
                        request.service_id, request.account_id, Stage.APPLYING
                    ),
                    static_summary=f"Destroy {server.name} ({server.address}): {recap.title}",
                    priority=fairness.LATER,
                    static_details=f"ordered by change `{recap.change_id}`, run `{run}`",
                )
                done = True
            except WorkflowAlreadyStartedError:
                done = await self._watch_teardown(order)
            except ChildWorkflowError as error:
                workflow.logger.error("the teardown of %s ended: %s", server.server_id, error.cause)
                self._forget_trouble_of(server)
                await workflow.sleep(policies.CHILD_RESTART, summary=f"Before {server.name} again")
        self._forget_trouble_of(server)

    def _forget_trouble_of(self, server: GivenUp) -> None:
        """Say it for a teardown that was terminated while it waited: it no longer does."""
        if server.server_id in self._teardown_troubles:
            self._hear(TeardownNews(server_id=server.server_id, problem=None))

    async def _watch_teardown(self, order: TeardownOrder) -> bool:
        """Wait until a teardown that an earlier run of this service began is done."""
        pause = policies.FIRST_LOOK
        while not await transaction(TroubleActivities.teardown_is_done, order, "Is the teardown done?"):
            await workflow.sleep(pause, summary="Until the next look at a teardown")
            pause = min(2 * pause, policies.LONGEST_LOOK)
        return True

    # What operators and teardowns send.

    @workflow.update(
        description="Try again the creation or the limits that keep failing, after their cause was mended. "
        'Input: {"change_id": "...", "actor": "your name"}. A destruction is decided in its own run.'
    )
    async def retry(self, order: Retry) -> list[str]:
        """Have all that waits for an operator tried again, and return what that is."""
        return self._troubles.decide(order)

    @workflow.update(
        description="Go on without the creation or the limits that keep failing. Input: "
        '{"change_id": "...", "actor": "your name", "reason": "..."}. The reason is kept in the trail.'
    )
    async def skip(self, order: Skip) -> list[str]:
        """Go on without all that waits for an operator, and return what that is."""
        return self._troubles.decide(order)

    @retry.validator
    def _something_can_be_retried(self, order: Retry) -> None:
        self._check_decision(order)

    @skip.validator
    def _something_can_be_skipped(self, order: Skip) -> None:
        self._check_decision(order)

    def _check_decision(self, order: Retry | Skip) -> None:
        change = self._opened or self._request  # nothing waits before it is opened
        self._troubles.check(order, change.change_id)

    @workflow.signal(
        description="Sent by a teardown of this change: it waits for an operator, or not any more."
    )
    def teardown_news(self, news: TeardownNews) -> None:
        self._hear(news)
