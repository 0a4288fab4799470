"""The system with its customers: what a customer does, and what an operator sees of it in Temporal."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHandle
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from changeover import codes
from changeover.domain.catalogue import Configuration
from changeover.domain.confirmation import normalise
from changeover.hosts.sample import SampleServer, create_samples
from changeover.storage.tables import servers, services
from starter import seed
from starter.seed import Situation
from starter.views import Acknowledgement, ChangeView, Requested
from tests.workflows.costs import kinds_of
from tests.workflows.faults import PATIENCE, post_office
from tests.workflows.system import Customer, System, eventually
from workflows import ids, search_attributes
from workflows.messages import ChangeRequest, CodeAnswer, CodeAttempt, TeardownResult
from workflows.plan_change import PlanChange
from workflows.server_teardown import ServerTeardown

WRONG = "BBBB-BBBB"
_CODE = re.compile(r"\b[B-Z]{4}-[B-Z]{4}\b")
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"


def wrong_code(number: int) -> str:
    """Return the `number`-th of many codes that are not the mailed one."""
    letters = [_ALPHABET[number // 20**power % 20] for power in range(4)]
    return f"ZZZZ-{''.join(letters)}"


async def send(handle: WorkflowHandle[Any, Any], update: Any, order: object) -> Any:
    """Send an update and return its answer; `description=` on an async handler loses its type for mypy."""
    return await handle.execute_update(update, order)


class World(System):
    """The system with its customers. What is done and looked at is the first one's, `me`."""

    # The customer's side.

    async def arrives(self, **situation: Any) -> Customer:
        """Add a customer as `Situation` describes one: by default three servers of 20 slots and 20 days."""
        name = f"canary-{uuid4().hex[:12]}"
        wanted = replace(Situation(name=name, language="fr", service="Les Renards"), **situation)
        self._situations.append(wanted)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(seed, "SITUATIONS", tuple(self._situations))
            began = datetime.now(UTC) - timedelta(seconds=1)
            seeded = await seed.seed(self.database, began)
        servers = seeded.servers[-wanted.servers :]
        await create_samples(
            [
                SampleServer(**server | {"kilobytes": 1, "options": tuple(server["options"])})
                for server in servers
            ],
            self.host_dir,
        )
        account = seeded.accounts[-1]
        customer = Customer(
            account_id=account["id"],
            email=account["email"],
            service_id=account["services"][0]["id"],
            server_ids=tuple(server["server_id"] for server in servers),
        )
        self.customers.append(customer)
        return customer

    @property
    def me(self) -> Customer:
        return self.customers[0]

    async def mark(self, *indexes: int) -> None:
        for index in indexes:
            await self.starter.mark(self.me.account_id, self.me.service_id, self.me.server_ids[index])

    async def ask(
        self,
        servers: int = 3,
        slots: int = 24,
        *,
        offer: str = "cs2-public",
        options: Iterable[str] = (),
        digest: str | None = None,
        no_refund: bool = True,
        destroys: tuple[str, ...] | None = None,
        key: str | None = None,
    ) -> Requested:
        """Quote and request a change, acknowledging everything unless told otherwise."""
        configuration = Configuration.of(offer, slots, list(options), servers)
        quote = await self.starter.quote(self.me.account_id, self.me.service_id, configuration)
        marked = tuple(server.id for server in quote.destroys)
        return await self.starter.request(
            self.me.account_id,
            self.me.service_id,
            configuration,
            digest=digest or quote.digest or "blocked",
            acknowledge=Acknowledgement(
                no_refund=no_refund, destroys=marked if destroys is None else destroys
            ),
            idempotency_key=key or str(uuid4()),
        )

    async def digest(self, servers: int = 3, slots: int = 24) -> str | None:
        """Return what a quote says now, as a panel keeps it between two clicks."""
        configuration = Configuration.of("cs2-public", slots, [], servers)
        return (await self.starter.quote(self.me.account_id, self.me.service_id, configuration)).digest

    async def mailed(self, change_id: str, number: int = 1) -> str:
        """Wait until code `number` was handed over, and return it."""
        await self.happened(change_id, "code_mailed", times=number)
        return self.mailed_codes(change_id)[number - 1]

    def mailed_codes(self, change_id: str = "") -> list[str]:
        """Return the codes that were handed over (for the change), in their order."""
        reference = change_id[:8].upper()
        mails = [mail.text for mail in self.post.sent if reference in mail.text]
        return [match[0] for text in mails if (match := _CODE.search(text))]

    async def type_code(self, change_id: str, code: str) -> ChangeView:
        self.typed.append(code)
        return await self.starter.submit_code(self.me.account_id, change_id, code)

    async def confirm(self, change_id: str) -> ChangeView:
        """Type the right code."""
        return await self.type_code(change_id, await self.mailed(change_id))

    async def submit(self, change_id: str, code: str, number: int = 1) -> CodeAnswer:
        """Send a try to the run itself, past the facade, whose clock is the machine's."""
        self.typed.append(code)
        proof = codes.proof(self.settings.proof_secret, change_id, normalise(code))
        attempt = CodeAttempt(change_id=change_id, number=number, proof=proof)
        answer: CodeAnswer = await send(self.run_of_service(), PlanChange.submit_code, attempt)
        return answer

    async def view(self, change_id: str) -> ChangeView:
        return await self.starter.status(self.me.account_id, change_id)

    async def reaches(self, change_id: str, *stages: str) -> Any:
        """Wait until the row of the change is at one of the stages; return the row."""

        async def arrived() -> Any:
            row = await self.row(change_id)
            return row if row is not None and row.stage in stages else None

        return await eventually(arrived, f"{change_id} at {stages}")

    async def ends(self, change_id: str, stage: str, reason: str | None = None) -> Any:
        """Wait until the run of the change has ended as it should, and return the row."""
        result = await asyncio.wait_for(self.run_of_service().result(), PATIENCE)
        row = await self.row(change_id)
        assert (result.change_id, result.outcome, result.reason) == (change_id, stage, reason)
        assert (row.stage, row.reason, row.cause) == (stage, reason, result.cause)
        return row

    async def happened(self, change_id: str, event: str, times: int = 1) -> None:
        """Wait until the trail says that something happened."""

        async def is_there() -> bool:
            return len([it for it in await self.events(change_id) if it == event]) >= times

        await eventually(is_there, f"{event} x {times}")

    # Temporal's side.

    def run_of_service(self, run_id: str | None = None) -> WorkflowHandle[Any, Any]:
        workflow_id = ids.plan_change_workflow_id(self.me.service_id)
        return self.temporal.client.get_workflow_handle_for(PlanChange.run, workflow_id, run_id=run_id)

    async def until(self, check: Callable[[], Awaitable[Any]], what: str) -> Any:
        return await eventually(check, what)

    async def settled(self) -> None:
        """Wait until the service's run has heard of its mail: no activity of it is pending."""

        async def idle() -> bool:
            return not (await self.run_of_service().describe()).raw_description.pending_activities

        await eventually(idle, "the mail's activity to end")

    async def waits_for_an_operator(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Wait until a run, which may be about to start, shows that it needs attention."""

        async def shown() -> bool:
            try:
                return bool(await self.shown(handle, search_attributes.NEEDS_ATTENTION))
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return False
                raise

        await eventually(shown, f"{handle.id} to need attention")

    async def is_running(self) -> bool:
        return (await self.run_of_service().describe()).close_time is None

    async def next_second(self) -> None:
        """Wait until the second is over: a row as young as a request is taken for that of a faster run."""
        await asyncio.sleep(1 - datetime.now(UTC).microsecond / 1_000_000 + 0.01)

    async def looked_at_teardown(self) -> None:
        """Wait until the service's run has looked whether a teardown is done, and waits to look again."""

        async def waits() -> bool:
            events = (await self.run_of_service().fetch_history()).events
            return any(event.HasField("timer_started_event_attributes") for event in events)

        await eventually(waits, "a look at the teardown")

    def be_impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the facade wait for half a second instead of ten."""
        timeout = timedelta(seconds=0.5)
        monkeypatch.setattr(self.starter, "_timeout", timeout)
        monkeypatch.setattr(self.starter._engine, "_timeout", timeout)

    async def timer_fired(self) -> None:
        """Wait until a timer of the service's run has fired."""

        async def fired() -> bool:
            return "timer_fired" in kinds_of(await self.run_of_service().fetch_history())

        await eventually(fired, "a timer")

    async def run_heard(self, kind: str, times: int = 1) -> None:
        """Wait until the service's run has heard of such an event, `times` times: a task came after it."""

        async def heard() -> bool:
            kinds = kinds_of(await self.run_of_service().fetch_history())
            return kinds.count(kind) >= times and kinds[-1] == "workflow_task_completed"

        await eventually(heard, f"{kind} x {times}")

    async def start_run(self, key: str, **wanted: Any) -> ChangeRequest:
        """Start the run of a request, as the facade does, without waiting for its answer."""
        configuration = Configuration.of("cs2-public", wanted.get("slots", 24), [], wanted.get("servers", 3))
        quote = await self.starter.quote(self.me.account_id, self.me.service_id, configuration)
        request = ChangeRequest(
            change_id=ids.change_id(self.me.account_id, self.me.service_id, key),
            account_id=self.me.account_id,
            service_id=self.me.service_id,
            fingerprint=key,
            configuration=configuration,
            digest=quote.digest or "blocked",
            no_refund=True,
            destroys=tuple(server.id for server in quote.destroys),
        )
        await self.temporal.client.start_workflow(
            PlanChange.run, request, id=self.run_of_service().id, task_queue=self.settings.task_queue
        )
        return request

    async def forward(self, *, minutes: float = 0, seconds: float = 0) -> None:
        """Move the clock of the service's run, and of nothing else."""
        by = timedelta(minutes=minutes, seconds=seconds)
        await asyncio.wait_for(self.temporal.fast_forward(self.run_of_service(), by), PATIENCE)

    def teardown(self, index: int) -> WorkflowHandle[Any, TeardownResult]:
        workflow_id = ids.teardown_workflow_id(self.me.server_ids[index])
        return self.temporal.client.get_workflow_handle_for(ServerTeardown.run, workflow_id)

    async def shown(self, handle: WorkflowHandle[Any, Any], key: SearchAttributeKey[Any]) -> Any:
        """Return what the run shows under a search attribute now."""
        return (await handle.describe()).typed_search_attributes.get(key)

    async def details(self, handle: WorkflowHandle[Any, Any]) -> str:
        """Return the details that the Temporal UI shows of a run."""
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        return str(metadata.current_details)

    async def scheduled_activities(self) -> list[str]:
        """Return the regular activities of the service's run, in the order in which they were scheduled."""
        try:
            history = await self.run_of_service().fetch_history()
        except RPCError:  # the run hasn't begun
            return []
        return [
            event.activity_task_scheduled_event_attributes.activity_type.name
            for event in history.events
            if event.HasField("activity_task_scheduled_event_attributes")
        ]

    async def began(self, activity: str) -> None:
        """Wait until the service's run has scheduled a regular activity."""

        async def is_there() -> bool:
            return activity in await self.scheduled_activities()

        await eventually(is_there, activity)

    # What the customer has.

    async def service(self) -> Any:
        return (await self.rows(select(services).where(services.c.id == self.me.service_id)))[0]

    async def server_states(self) -> list[str]:
        """Return the states of the customer's first servers, in their order."""
        states = {row.id: row.state for row in await self.rows(select(servers))}
        return [states[server_id] for server_id in self.me.server_ids]

    async def alter_service(self, **values: Any) -> None:
        """Write what the host's own back office would."""
        await self.execute(update(services).where(services.c.id == self.me.service_id).values(**values))

    def files(self, index: int) -> list[str]:
        """Return the files that the host has of a server."""
        folder = self.host_dir / self.me.server_ids[index]
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@asynccontextmanager
async def open_world(temporal: WorkflowEnvironment, folder: Path, template: Path) -> AsyncIterator[World]:
    """Run a system of its own on a copy of the database `template`, which has the schema and a catalogue."""
    shutil.copy(template, folder / "changeover.db")
    async with post_office(folder / "mail") as post:
        world = World(temporal, folder, post)
        await world.start_workers()
        try:
            yield world
        finally:
            await world.close()
