"""What is measured side by side: the floor (empty workflow, bare update, empty shape) and our changes."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

from bench.customers import Facade, Rest, Times, Way, change, timed, wish
from bench.figures import Result, percentile
from bench.floor import BareUpdate, Empty, EmptyShape, Shape
from bench.shape import commands_of, shape_of
from bench.system import FLOOR_QUEUE, System
from bench.timeline import ANSWER, STEP_BY_STEP, STEPS, steps_of, waits_of_answer
from starter.seed_many import Customer
from workflows import ids

PLAIN = "no teardown"
_TORN_DOWN = "one server"
VARIANTS = {PLAIN: (1, 0), _TORN_DOWN: (2, 1), "three servers": (4, 3)}
"""By name: how many servers the service has, and how many of them go. If none goes, it gets other slots."""
BY_REST, AFTER_A_PAUSE = " by REST", " after a pause"
"""What may stand behind a variant: by which way, or that the customer takes a moment to type the code."""
PAUSE_SECONDS = 0.3
FLOOR = ("empty", "update", "empty shape")

Job = Callable[[], Awaitable[Times]]


class Kinds:
    """Makes jobs of each kind, and counts them."""

    def __init__(self, system: System, rest: Rest) -> None:
        self.system = system
        self.changes = 0
        self.shapes: dict[str, Shape] = {}
        self._facade, self._rest = Facade(system.plans), rest

    async def jobs(self, kind: str, count: int) -> list[Job]:
        """Return `count` jobs of a kind: of `FLOOR`, or a variant, perhaps with a way or a pause."""
        if kind in FLOOR:
            return [{"empty": self._empty, "update": self._update, "empty shape": self._shape}[kind]] * count
        return self._change_jobs(kind, await self.customers(kind, count))

    async def customers(self, kind: str, count: int) -> list[Customer]:
        servers, marked = VARIANTS[kind.removesuffix(BY_REST).removesuffix(AFTER_A_PAUSE)]
        self.changes += count
        return await self.system.customers(count, servers=servers, marked=marked)

    def _change_jobs(self, kind: str, customers: list[Customer]) -> list[Job]:
        way: Way = self._rest if kind.endswith(BY_REST) else self._facade
        think = PAUSE_SECONDS if kind.endswith(AFTER_A_PAUSE) else 0

        def job(customer: Customer) -> Job:
            return lambda: change(self.system, way, wish(customer), think=think)

        return [job(customer) for customer in customers]

    async def _empty(self) -> Times:
        workflow_id = f"empty/{uuid4()}"
        call = self.system.stock.execute_workflow(Empty.run, id=workflow_id, task_queue=FLOOR_QUEUE)
        _, whole = await timed(call)
        return Times(workflow_id=workflow_id, whole=whole)

    async def _update(self) -> Times:
        start = self.system.stock.start_workflow
        handle = await start(BareUpdate.run, id=f"update/{uuid4()}", task_queue=FLOOR_QUEUE)
        await handle.execute_update(BareUpdate.touch)  # it is running now, and in the worker's cache
        _, whole = await timed(handle.execute_update(BareUpdate.touch))
        await handle.signal(BareUpdate.end)
        await handle.result()
        return Times(workflow_id=handle.id, whole=whole)

    async def _shape(self) -> Times:
        return await self.walk(self.shapes[PLAIN], f"shape/{uuid4()}")

    async def walk(self, shape: Shape, workflow_id: str, *, think: float = 0) -> Times:
        """Walk an empty shape from its answer over its code (after `think` seconds) to its end."""

        async def all_of_it() -> tuple[float, float]:
            client = self.system.stock
            start = WithStartWorkflowOperation(
                EmptyShape.run,
                shape,
                id=workflow_id,
                task_queue=FLOOR_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
            call = client.execute_update_with_start_workflow(
                EmptyShape.answer, start_workflow_operation=start
            )
            _, request = await timed(call)
            handle = client.get_workflow_handle(workflow_id)
            await asyncio.sleep(think)
            _, code = await timed(handle.execute_update(EmptyShape.submit_code))
            await handle.result()
            return request, code

        (request, code), whole = await timed(all_of_it())
        return Times(workflow_id=workflow_id, request=request, code=code, whole=whole)

    async def look_at_times(self, result: Result, count: int) -> None:
        """Note what each step of `count` changes with a teardown takes (p50), and of their empty shape."""
        ours: list[dict[str, float]] = []
        shapes: list[dict[str, float]] = []
        for customer in await self.customers(_TORN_DOWN, count):
            (job,) = self._change_jobs(f"{_TORN_DOWN}{AFTER_A_PAUSE}", [customer])
            await job()
            ours.append(await _steps_of(self.system.ours, ids.plan_change_workflow_id(customer.service_id)))
            workflow_id = f"shape/{uuid4()}"
            await self.walk(self.shapes[_TORN_DOWN], workflow_id, think=PAUSE_SECONDS)
            shapes.append(await _steps_of(self.system.stock, workflow_id))
        for kind, found in ((_TORN_DOWN, ours), ("empty shape", shapes)):
            for step in STEPS:
                milliseconds = percentile([steps[step] for steps in found], 0.5)
                result.add(f"{STEP_BY_STEP}{kind}: {step}", "ms", milliseconds)

    async def look_at_slowest(self, result: Result, name: str, times: list[Times]) -> None:
        """Note where the slowest answers waited, and those in the middle: in the mean of 2 % of them each."""
        by_answer = sorted(times, key=lambda one: one.answer)
        share = max(1, len(times) // 50)
        middle = (len(times) - share) // 2
        for which, some in (("middle", by_answer[middle : middle + share]), ("slowest", by_answer[-share:])):
            waits = [
                waits_of_answer(await _events(self.system.stock.get_workflow_handle(one.workflow_id)))
                for one in some
            ]
            answers = [1000 * one.answer for one in some]
            for_a_worker, at_the_worker = (statistics.mean(parts) for parts in zip(*waits, strict=True))
            rest = statistics.mean(answers) - for_a_worker - at_the_worker
            for part, milliseconds in zip(ANSWER, (for_a_worker, at_the_worker, rest), strict=True):
                result.add(f"{name}: {which}: {part}", "ms", milliseconds)

    async def look_at_histories(self, result: Result) -> None:
        """Make one change of each variant: note its history, and take the empty shape from it."""
        for variant in VARIANTS:
            (customer,) = await self.customers(variant, 1)
            (job,) = self._change_jobs(variant, [customer])
            await job()
            workflow_id = ids.plan_change_workflow_id(customer.service_id)
            handle = self.system.ours.get_workflow_handle(workflow_id)
            described = (await handle.describe()).raw_description.workflow_execution_info
            result.add(f"{variant}: history events", "count", described.history_length)
            result.add(f"{variant}: history bytes", "bytes", described.history_size_bytes)
            self.shapes[variant] = await _shape_of(self.system.ours, handle)
            result.details[f"commands, {variant}"] = self.shapes[variant].tasks
        shape, workflow_id = self.shapes[_TORN_DOWN], f"shape/{uuid4()}"
        await self.walk(shape, workflow_id)
        walked = await _shape_of(self.system.stock, self.system.stock.get_workflow_handle(workflow_id))
        same = commands_of(walked) == commands_of(shape)
        result.expect("the empty shape decides what our run decided", int(same), 1)


async def _shape_of(client: Client, handle: WorkflowHandle[Any, Any]) -> Shape:
    events = await _events(handle)
    return shape_of(events, await _child_of(client, events))


async def _steps_of(client: Client, workflow_id: str) -> dict[str, float]:
    events = await _events(client.get_workflow_handle(workflow_id))
    return steps_of(events, await _child_of(client, events))


async def _child_of(client: Client, events: list[HistoryEvent]) -> list[HistoryEvent]:
    """Return the history of the first run that a run started; nothing when it started none."""
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
            child = event.start_child_workflow_execution_initiated_event_attributes.workflow_id
            return await _events(client.get_workflow_handle(child))
    return []


async def _events(handle: WorkflowHandle[Any, Any]) -> list[HistoryEvent]:
    return list((await handle.fetch_history()).events)
