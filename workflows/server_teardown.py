"""The destruction of one server. Outlives the change that ordered it; waits for an operator when it must."""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from changeover.domain.lifecycle import Stage
from workflows import policies, search_attributes
from workflows.display import teardown_details
from workflows.messages import HostWork, Retry, Skip, TeardownNews, TeardownOrder, TeardownResult
from workflows.ports import ServerActivities
from workflows.troubles import Troubles, Waiting


@workflow.defn
class ServerTeardown:
    """The activity walks the steps, each with its receipt; this run retries it, for hours, and then asks."""

    @workflow.init
    def __init__(self, order: TeardownOrder) -> None:
        self._order = order
        self._troubles = Troubles(self._show)
        self._shown = search_attributes.Shown(Stage.APPLYING)
        self._result: TeardownResult | None = None

    @workflow.run
    async def run(self, order: TeardownOrder) -> TeardownResult:
        self._show()
        await self._troubles.overcome(
            self._tear_down,
            name="teardown",
            change_id=order.change_id,
            work=HostWork.TEARDOWN,
            server_id=order.server_id,
            tell=self._tell_change,
        )
        self._show()
        await workflow.wait_condition(workflow.all_handlers_finished)
        assert self._result is not None, "a teardown is skipped step by step, and ends by its activity"
        return self._result

    async def _tear_down(self) -> None:
        self._result = await workflow.execute_activity_method(
            ServerActivities.tear_down,
            self._order,
            schedule_to_close_timeout=policies.HOST_PATIENCE,
            start_to_close_timeout=policies.HOST_ATTEMPT,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=policies.HOST_RETRY,
            summary="Destroy the server, step by step",
        )

    async def _tell_change(self, waiting: Waiting | None) -> None:
        parent = workflow.info().parent
        if parent is None:
            return
        news = TeardownNews(
            server_id=self._order.server_id,
            problem=waiting.problem if waiting else None,
            since=waiting.since if waiting else None,
        )
        try:
            await workflow.get_external_workflow_handle(parent.workflow_id).signal("teardown_news", news)
        except ApplicationError:
            workflow.logger.info("%s has ended; nobody to tell", parent.workflow_id)

    def _show(self) -> None:
        waiting = next(iter(self._troubles.waiting.values()), None)
        workflow.set_current_details(teardown_details(self._order, waiting, self._result))
        stage = Stage.COMPLETED if self._result else Stage.APPLYING
        outcome = self._result.outcome if self._result else None
        updates = self._shown.updates(stage, outcome, None, troubled=waiting is not None)
        if updates:
            workflow.upsert_search_attributes(updates)

    @workflow.update(
        description="Try the destruction again from the step that failed, after its cause was mended. Input: "
        '{"change_id": "...", "actor": "your name"}.'
    )
    async def retry(self, order: Retry) -> list[str]:
        return self._troubles.decide(order)

    @workflow.update(
        description="Go on without the step that keeps failing. Input: "
        '{"change_id": "...", "actor": "your name", "reason": "...", "evidence": "..."}. Without evidence '
        "that what the step deletes is gone, the server's address is kept back until there is evidence."
    )
    async def skip(self, order: Skip) -> list[str]:
        return self._troubles.decide(order)

    @retry.validator
    def _can_be_retried(self, order: Retry) -> None:
        self._troubles.check(order, self._order.change_id)

    @skip.validator
    def _can_be_skipped(self, order: Skip) -> None:
        self._troubles.check(order, self._order.change_id)
