"""The doctor at Temporal, on a real server, in namespaces of the tests' own."""

import asyncio
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio import activity, workflow
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import ListSchedulesRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from changeover.diagnosis import Finding, Status, ok
from starter.doctor.of_temporal import OfTemporal
from starter.engine import DATA_CONVERTER
from starter.namespace import register_search_attributes
from starter.schedule import ensure_schedule
from tests.doctor.conftest import MakeSettings, finding_of
from tests.workflows.system import eventually
from workflows import ids


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(autouse=True)
def address(temporal: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.client.service_client.config.target_host)


async def found(
    make_settings: MakeSettings, name: str, clock: Callable[[], datetime] = now, **settings: str
) -> Finding:
    return await finding_of(OfTemporal(make_settings(**settings), clock).checks(), name)


async def own_namespace(
    temporal: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch, retention: timedelta = timedelta(days=3)
) -> Client:
    """Make a namespace without our search attributes, and have the settings name it."""
    name = f"doctor-{uuid4()}"
    keep = Duration()
    keep.FromTimedelta(retention)
    service = temporal.client.workflow_service
    await service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=keep)
    )
    monkeypatch.setenv("TEMPORAL_NAMESPACE", name)
    target = temporal.client.service_client.config.target_host

    async def there() -> Client | None:
        client = await Client.connect(target, namespace=name, data_converter=DATA_CONVERTER)
        try:
            await client.count_workflows()
        except RPCError:
            return None
        return client

    client: Client = await eventually(there, "the namespace to be known everywhere")
    return client


async def test_a_server_that_answers_is_told_with_its_version_and_latency(
    make_settings: MakeSettings,
) -> None:
    finding = await found(make_settings, "temporal")
    assert finding.verdict.status is Status.OK
    assert "server 1." in finding.verdict.message
    assert " ms" in finding.verdict.message


async def test_no_server_is_wrong_in_every_check(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    checks = OfTemporal(make_settings(), now).checks()
    for finding in await asyncio.gather(*(check.finding() for check in checks)):
        assert finding.is_wrong
        assert "TEMPORAL_ADDRESS" in finding.verdict.advice


async def test_a_namespace_is_told_with_its_retention(
    make_settings: MakeSettings, temporal: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await own_namespace(temporal, monkeypatch)
    finding = await found(make_settings, "namespace")
    assert finding.verdict.status is Status.OK
    assert finding.verdict.message == f"{client.namespace} keeps closed runs for 3 days"
    long = await found(make_settings, "namespace", confirmation_window_minutes=str(3 * 24 * 60))
    assert long.is_wrong
    assert "--retention 30d" in long.verdict.advice


async def test_a_namespace_that_is_not_there_is_made_by_a_command(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nobody-made-it")
    finding = await found(make_settings, "namespace")
    assert finding.is_wrong
    assert "temporal operator namespace create --namespace nobody-made-it" in finding.verdict.advice


async def test_unregistered_search_attributes_are_named_with_the_command(
    make_settings: MakeSettings, temporal: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await own_namespace(temporal, monkeypatch)
    finding = await found(make_settings, "search-attributes")
    assert finding.is_wrong
    assert "ChangeoverService" in finding.verdict.message
    assert "--name ChangeoverDeadline --type Datetime" in finding.verdict.advice
    other = {"ChangeoverDeadline": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD}
    request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=other)
    await client.operator_service.add_search_attributes(request)
    finding = await found(make_settings, "search-attributes")
    assert finding.verdict.message == "of another type: ChangeoverDeadline is Keyword, not Datetime"


async def test_search_attributes_that_a_worker_registered_are_well(
    make_settings: MakeSettings, temporal: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await own_namespace(temporal, monkeypatch)
    await register_search_attributes(client)
    await register_search_attributes(client)  # a second worker's

    async def well() -> bool:
        return (await found(make_settings, "search-attributes")).verdict.status is Status.OK

    await eventually(well, "the attributes to be known everywhere")


@workflow.defn
class Nothing:
    @workflow.run
    async def run(self) -> None:
        pass


@activity.defn
async def nothing() -> None:
    pass


async def test_each_queue_needs_a_worker(make_settings: MakeSettings, temporal: WorkflowEnvironment) -> None:
    queue = f"doctor-{uuid4()}"
    mails = ids.mail_queue(queue)
    finding = await found(make_settings, "workers", task_queue=queue)
    assert finding.verdict.message.startswith(f"no worker polls {queue} and {mails}:")
    assert "changeover worker" in finding.verdict.advice
    async with AsyncExitStack() as running:
        runner = UnsandboxedWorkflowRunner()
        changes = Worker(
            temporal.client,
            task_queue=queue,
            workflows=[Nothing],
            activities=[nothing],
            workflow_runner=runner,
        )
        await running.enter_async_context(changes)

        async def only_mails_are_missing() -> bool:
            finding = await found(make_settings, "workers", task_queue=queue)
            return finding.verdict.message.startswith(f"no worker polls {mails}:")

        await eventually(only_mails_are_missing, "the worker to be seen")
        await running.enter_async_context(Worker(temporal.client, task_queue=mails, activities=[nothing]))

        async def well() -> bool:
            finding = await found(make_settings, "workers", task_queue=queue)
            return finding.verdict.status is Status.OK

        await eventually(well, "both workers to be seen")
        finding = await found(make_settings, "workers", task_queue=queue)
        assert re.search(r"1 worker polls .*; work was last asked for \d+ s ago$", finding.verdict.message)

        # Temporal names a worker for minutes after it was last heard of, as one that is frozen.
        finding = await found(
            make_settings, "workers", lambda: now() + timedelta(minutes=3), task_queue=queue
        )
        assert finding.is_wrong
        (seconds,) = re.findall(
            r"asked for work (\d+) s ago: it is frozen, cut off or gone", finding.verdict.message
        )
        assert 180 <= int(seconds) < 300
        assert "restart it" in finding.verdict.advice


async def test_a_clock_that_is_off_is_seen_and_nothing_is_left_behind(
    make_settings: MakeSettings, temporal: WorkflowEnvironment
) -> None:
    assert (await found(make_settings, "temporal-clock")).verdict.status is Status.OK
    finding = await found(make_settings, "temporal-clock", lambda: now() - timedelta(minutes=10))
    assert finding.is_wrong
    assert "600." in finding.verdict.message

    async def none_left() -> bool:
        request = ListSchedulesRequest(namespace=temporal.client.namespace, maximum_page_size=100)
        listed = await temporal.client.workflow_service.list_schedules(request)
        return not [it for it in listed.schedules if it.schedule_id.startswith("changeover-doctor")]

    await eventually(none_left, "the schedule to be gone")


async def test_the_reconcilers_schedule_is_looked_for(
    make_settings: MakeSettings, temporal: WorkflowEnvironment
) -> None:
    queue = f"doctor-{uuid4()}"
    finding = await found(make_settings, "reconciler", task_queue=queue)
    assert finding.verdict.status is Status.WARNING
    assert "changeover ops reconcile" in finding.verdict.advice
    await ensure_schedule(temporal.client, queue, timedelta(hours=1))
    finding = await found(make_settings, "reconciler", task_queue=queue)
    assert finding.verdict == ok(f"the schedule {queue}-reconcile hasn't looked yet")
    handle = temporal.client.get_schedule_handle(ids.reconcile_schedule_id(queue))
    await handle.pause()
    finding = await found(make_settings, "reconciler", task_queue=queue)
    await handle.delete()
    assert finding.verdict.status is Status.WARNING
    assert "--unpause" in finding.verdict.advice
