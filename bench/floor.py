"""The floor: what Temporal itself costs, with nothing in it. Stock settings, imports kept to `temporalio`.

`EmptyShape` walks the commands of a recorded run of ours (bench/shape.py), each with nothing in it.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import SearchAttributeKey

STAGE = SearchAttributeKey.for_keyword("ChangeoverStage")
_TIMEOUT = timedelta(minutes=1)


@dataclass
class Shape:
    """What a run decided, one list of commands per workflow task that decided anything.

    Commands: `local`, `activity`, `mail`, `child`, `show`, `timer`. `confirmed_by` is the list that the code
    led to; `child` the shape of the children.
    """

    tasks: list[list[str]]
    confirmed_by: int | None = None
    child: "list[list[str]]" = field(default_factory=list)


@activity.defn
async def nothing() -> None:
    """Do nothing."""


@workflow.defn
class Empty:
    @workflow.run
    async def run(self) -> None:
        """End at once."""


@workflow.defn
class BareUpdate:
    """Runs until told to end; its update does nothing."""

    def __init__(self) -> None:
        self._ended = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self._ended)

    @workflow.update
    async def touch(self) -> None:
        """Do nothing."""

    @workflow.signal
    def end(self) -> None:
        self._ended = True


@workflow.defn
class EmptyShape:
    """The same commands as one of our runs, in the same workflow tasks."""

    @workflow.init
    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._answered = False
        self._code_came = False
        self._judged = False
        self._timer: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, shape: Shape) -> None:
        for number, commands in enumerate(shape.tasks):
            confirms = number == shape.confirmed_by
            if confirms:
                await workflow.wait_condition(lambda: self._code_came)
            await self._at_once(commands)
            self._answered = True
            self._judged = self._judged or confirms
            if confirms and self._timer is not None:
                self._timer.cancel()
            await self._wait_for(commands)
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _at_once(self, commands: list[str]) -> None:
        for command in commands:
            if command == "local":
                await workflow.execute_local_activity(nothing, start_to_close_timeout=_TIMEOUT)
            elif command == "show":
                workflow.upsert_search_attributes([STAGE.value_set("nothing")])

    async def _wait_for(self, commands: list[str]) -> None:
        waits = []
        for index, command in enumerate(commands):
            if command == "timer":
                self._timer = asyncio.create_task(workflow.sleep(timedelta(hours=1)))
            elif command == "activity":
                waits.append(workflow.execute_activity(nothing, start_to_close_timeout=_TIMEOUT))
            elif command == "mail":
                queue = f"{workflow.info().task_queue}-mail"
                waits.append(
                    workflow.execute_activity(nothing, task_queue=queue, start_to_close_timeout=_TIMEOUT)
                )
            elif command == "child":
                child_id = f"{workflow.info().workflow_id}/{index}"
                child = Shape(tasks=self._shape.child)
                waits.append(workflow.execute_child_workflow(EmptyShape.run, child, id=child_id))
        await asyncio.gather(*waits)

    @workflow.update
    async def answer(self) -> None:
        await workflow.wait_condition(lambda: self._answered)

    @workflow.update
    async def submit_code(self) -> None:
        self._code_came = True
        await workflow.wait_condition(lambda: self._judged)
