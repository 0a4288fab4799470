"""Temporal: reachable, its namespace and search attributes, who polls, its clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    GetSystemInfoRequest,
)
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.service import RPCError, RPCStatusCode

from changeover.diagnosis import Check, Verdict, clock, ok, warning, wrong
from changeover.settings import Settings
from starter.doctor.of_database import ahead
from starter.engine import connect_to_temporal, temporal_address
from workflows import ids, policies, search_attributes

_SILENT: Final = (
    "start Temporal; are TEMPORAL_ADDRESS and its TLS settings right, does a firewall stand between?"
)
_GONE: Final = timedelta(seconds=90)
"""A worker asks again at least once a minute: one that was silent for longer has gone."""
_BUSY_SECONDS: Final = 1.0
_WORKFLOWS: Final = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
_ACTIVITIES: Final = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY


class OfTemporal:
    """Looks at Temporal. `now` is our own clock."""

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        self._connecting: asyncio.Task[Client] | None = None

    def checks(self) -> list[Check]:
        """Return the checks, to be examined."""
        looks: dict[str, Callable[[], Awaitable[Verdict]]] = {
            "temporal": self._server,
            "namespace": self._namespace,
            "search-attributes": self._search_attributes,
            "workers": self._workers,
            "reconciler": self._reconciler,
            "temporal-clock": self._clock,
        }
        return [Check(name=name, look=look, silent=_SILENT) for name, look in looks.items()]

    async def _client(self) -> Client:
        """Return the one connection of all checks; each waits for it by its own patience."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(connect_to_temporal())
        return await asyncio.shield(self._connecting)

    async def _server(self) -> Verdict:
        client = await self._client()
        began = time.perf_counter()
        info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
        seconds = time.perf_counter() - began
        told = f"server {info.server_version} at {temporal_address()} answers in {seconds * 1000:.0f} ms"
        if seconds > _BUSY_SECONDS:
            return warning(told, "every step of a change waits for it: is it overloaded, or far away?")
        return ok(told)

    async def _namespace(self) -> Verdict:
        client = await self._client()
        request = DescribeNamespaceRequest(namespace=client.namespace)
        try:
            described = await client.workflow_service.describe_namespace(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return wrong(
                f"there is no namespace {client.namespace}",
                f"`temporal operator namespace create --namespace {client.namespace} --retention 30d`, or set"
                " TEMPORAL_NAMESPACE right",
            )
        retention = described.config.workflow_execution_retention_ttl.ToTimedelta()
        least = self._settings.code_policy.window + policies.HOST_PATIENCE
        told = f"{client.namespace} keeps closed runs for {retention / timedelta(days=1):g} days"
        if retention < least:
            return wrong(
                f"{told}: less than a change may take ({least / timedelta(hours=1):g} h)",
                f"`temporal operator namespace update --namespace {client.namespace} --retention 30d`",
            )
        return ok(told)

    async def _search_attributes(self) -> Verdict:
        client = await self._client()
        present = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
        wanted, there = search_attributes.TYPES, present.custom_attributes
        missing = sorted(name for name in wanted if name not in there)
        other = sorted(name for name in wanted if name in there and there[name] != wanted[name])
        if other:
            kinds = ", ".join(f"{name} is {_kind(there[name])}, not {_kind(wanted[name])}" for name in other)
            advice = (
                "remove them (`temporal operator search-attribute remove --name NAME`); a worker adds ours"
            )
            return wrong(f"of another type: {kinds}", advice)
        if missing:
            command = " ".join(f"--name {name} --type {_kind(wanted[name])}" for name in missing)
            return wrong(
                f"{client.namespace} lacks {', '.join(missing)}: changes would stand still",
                f"start a worker, which adds them, or `temporal operator search-attribute create {command}`",
            )
        return ok(f"{client.namespace} has all {len(wanted)}")

    async def _workers(self) -> Verdict:
        client = await self._client()
        changes = self._settings.task_queue
        mails = ids.mail_queue(changes)
        asked = ((changes, _WORKFLOWS), (changes, _ACTIVITIES), (mails, _ACTIVITIES))
        found = [await self._pollers(client, queue, kind) for queue, kind in asked]
        silent = dict.fromkeys(queue for (queue, _), pollers in zip(asked, found, strict=True) if not pollers)
        if silent:
            return wrong(
                f"no worker polls {' and '.join(silent)}: requests are answered with engine-unavailable",
                "run `changeover worker` with the same CHANGEOVER_TASK_QUEUE, and look into its log",
            )
        quiet = max(self._now() - max(_heard(poller) for poller in pollers) for pollers in found)
        asked_ago = f"{max(0.0, quiet.total_seconds()):.0f} s ago"
        if quiet > _GONE:
            return wrong(
                f"the last worker of {changes} and {mails} asked for work {asked_ago}: "
                "it is frozen, cut off or gone",
                "look at its process and its log, and restart it; a worker asks at least once a minute. If "
                "temporal-clock is wrong, mend that first",
            )
        pollers = [poller for group in found for poller in group]
        machines = {poller.identity for poller in pollers}
        builds = sorted(filter(None, {_build_of(poller) for poller in pollers}))
        versions = f", build {', '.join(builds)}" if builds else ""
        who = "1 worker polls" if len(machines) == 1 else f"{len(machines)} workers poll"
        return ok(f"{who} {changes} and {mails}{versions}; work was last asked for {asked_ago}")

    async def _pollers(self, client: Client, queue: str, kind: TaskQueueType.ValueType) -> list[PollerInfo]:
        request = DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
        )
        answer = await client.workflow_service.describe_task_queue(request)
        return _alive(answer.pollers)

    async def _reconciler(self) -> Verdict:
        client = await self._client()
        schedule_id = ids.reconcile_schedule_id(self._settings.task_queue)
        try:
            described = await client.get_schedule_handle(schedule_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return warning(
                f"there is no schedule {schedule_id}: nobody looks for what should never be",
                "start a worker, which makes it, unless CHANGEOVER_RECONCILE_MINUTES=0 is meant; "
                "`changeover ops reconcile` looks once",
            )
        looks = described.info.recent_actions
        last = f"last looked at {looks[-1].started_at:%Y-%m-%d %H:%M} UTC" if looks else "hasn't looked yet"
        if described.schedule.state.paused:
            advice = f"`temporal schedule toggle --schedule-id {schedule_id} --unpause --reason WHY`"
            return warning(f"the schedule {schedule_id} is paused; it {last}", advice)
        return ok(f"the schedule {schedule_id} {last}")

    async def _clock(self) -> Verdict:
        """Ask for Temporal's time: by a paused schedule, which runs nothing, is made and removed at once."""
        client = await self._client()
        action = ScheduleActionStartWorkflow("ChangeoverDoctor", id="doctor", task_queue="changeover-doctor")
        asking = Schedule(action=action, spec=ScheduleSpec(), state=ScheduleState(paused=True))
        before = self._now()
        handle = await client.create_schedule(f"changeover-doctor-{uuid4()}", asking)
        after = self._now()
        try:
            theirs = (await handle.describe()).info.created_at
        finally:
            with suppress(RPCError):
                await handle.delete()
        return clock("Temporal's clock", *ahead(theirs, before, after))


def _alive(pollers: Iterable[PollerInfo]) -> list[PollerInfo]:
    """Return those heard of lately, by the server's own clock: by the newest of them and ours."""
    listed = list(pollers)
    newest = max((_heard(poller) for poller in listed), default=datetime.now(UTC))
    since = min(newest, datetime.now(UTC)) - _GONE
    return [poller for poller in listed if _heard(poller) >= since]


def _heard(poller: PollerInfo) -> datetime:
    return poller.last_access_time.ToDatetime(UTC)


def _build_of(poller: PollerInfo) -> str:
    return poller.deployment_options.build_id or poller.worker_version_capabilities.build_id


def _kind(value: IndexedValueType.ValueType) -> str:
    """Return the type as Temporal's command line names it."""
    return IndexedValueType.Name(value).removeprefix("INDEXED_VALUE_TYPE_").title().replace("_", "")
