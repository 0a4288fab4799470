"""Someone who can write to Temporal: starts runs, orders any activity, and answers as a worker."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.assembly import Activities
from changeover.adapters import Parts
from changeover.domain.lifecycle import Stage
from changeover.storage.catalogue import CatalogueReader
from tests.workflows.world import World
from workflows import ids
from workflows.messages import ChangeState, GivenUp, JudgeCode, Judged, Judgement, OpenChange, Opened
from workflows.plan_change import PlanChange
from workflows.server_teardown import ServerTeardown


@dataclass(frozen=True, kw_only=True)
class Forgery:
    """An activity to order at a queue, and with what."""

    activity: str
    queue: str
    order: Any


@workflow.defn(sandboxed=False)
class Forger:
    """Orders one activity of the honest worker; Temporal lets any run of a namespace do so."""

    @workflow.run
    async def run(self, forgery: Forgery) -> Any:
        return await workflow.execute_activity(
            forgery.activity,
            forgery.order,
            task_queue=forgery.queue,
            schedule_to_close_timeout=timedelta(seconds=30),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


class Rogue:
    """The forger's own worker, on a queue of its own."""

    def __init__(self, world: World, queue: str) -> None:
        self._world = world
        self._queue = queue

    async def order(self, name: str, order: Any, *, mail: bool = False) -> Any:
        """Have the honest worker run an activity; return its result, or the type of its failure."""
        honest = self._world.settings.task_queue
        queue = ids.mail_queue(honest) if mail else honest
        forgery = Forgery(activity=name, queue=queue, order=order)
        client = self._world.temporal.client
        try:
            return await client.execute_workflow(
                Forger.run, forgery, id=f"forged/{uuid4()}", task_queue=self._queue
            )
        except WorkflowFailureError as failed:
            return str(getattr(failed.cause.__cause__, "type", failed.cause))


@asynccontextmanager
async def forging(world: World) -> AsyncIterator[Rogue]:
    queue = f"rogue-{uuid4()}"
    async with Worker(
        world.temporal.client,
        task_queue=queue,
        workflows=[Forger],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield Rogue(world, queue)


@asynccontextmanager
async def lying_worker(world: World, also: Sequence[GivenUp]) -> AsyncIterator[None]:
    """Stand in for the honest workers of changes: it names other servers too, and takes any code for right.

    What it opens is in the database as an honest worker would have it; its lies stand in the run's history.
    """
    await world.stop_workers()
    parts = Parts(
        database=world.database,
        catalogue=CatalogueReader(),
        host=world.host,
        transport=world.post,
        sender_domain="host.example",
    )
    made = Activities(world.settings, parts)
    honest = {it.__name__: it for it in made.of_changes()}

    @activity.defn
    async def open_change(order: OpenChange) -> Opened:
        opened: Opened = await honest["open_change"](order)
        recap = replace(opened.recap, gives_up=(*opened.recap.gives_up, *also), creates=2, new_limits=True)
        return replace(opened, recap=recap)

    @activity.defn
    async def judge_code(_order: JudgeCode) -> Judged:
        return Judged(judgement=Judgement.ACCEPTED, change=ChangeState(stage=Stage.COMMITTED))

    lies: list[Callable[..., Any]] = [open_change, judge_code]
    transactions = [honest[name] for name in ("request_code", "abandon_change", "complete_change")]
    mail = Worker(
        world.temporal.client,
        task_queue=ids.mail_queue(world.settings.task_queue),
        activities=made.of_mails(),
        graceful_shutdown_timeout=timedelta(seconds=1),
    )
    liar = Worker(
        world.temporal.client,
        task_queue=world.settings.task_queue,
        workflows=[PlanChange, ServerTeardown],
        activities=[*lies, *transactions],
        workflow_runner=UnsandboxedWorkflowRunner(),
        graceful_shutdown_timeout=timedelta(seconds=1),
    )
    async with mail, liar:
        yield
