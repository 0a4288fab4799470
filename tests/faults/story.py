"""One scenario's people: customers who act through the API, and a ledger of what they did and were told."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import select
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from changeover.domain.confirmation import ALPHABET
from changeover.domain.lifecycle import CLOSED
from changeover.hosts.sample import SampleServer, create_samples
from changeover.storage import tables
from tests.faults.evidence import Evidence, digest_of, read_tables
from tests.faults.post import Mail
from tests.faults.system import FaultySystem, TooLate, eventually
from tests.faults.watch import Watch
from tests.storage.rows import Rented, add_account, rent, set_values
from workflows import ids

WINDOW = timedelta(minutes=60)
_FAR = timedelta(minutes=61)
WRONG = [f"ZZZZ-{first}{second}ZZ" for first in ALPHABET for second in ALPHABET]
"""Codes that were never mailed (one in 20^8 might be)."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A code that a customer typed, and the answer."""

    change_id: str
    code: str
    status: int
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a customer with these changes was shown of them, while their service was expired or was not."""

    service_id: str
    changes: tuple[str, ...]
    expired: bool
    listed: tuple[str, ...]
    statuses: tuple[int, ...]


@dataclass
class Ledger:
    """What happened at the edge: confirms, tries, and what customers and the host altered meanwhile."""

    accepted: dict[str, dict[str, Any]] = field(default_factory=dict)
    tries: list[Tried] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    renewals: dict[str, list[datetime]] = field(default_factory=dict)
    host_wrote: dict[str, dict[str, Any]] = field(default_factory=dict)
    host_removed: set[str] = field(default_factory=set)
    looks: list[Look] = field(default_factory=list)
    server_errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Before:
    """What a customer had on arrival: rows, and the digest of each server's files."""

    service: dict[str, Any]
    servers: dict[str, dict[str, Any]]
    passes: list[dict[str, Any]]
    files: dict[str, str]


class Customer:
    """A customer with one service, who acts through the API as the host's panel would."""

    def __init__(self, story: "Story", rented: Rented, email: str, before: Before) -> None:
        self.story = story
        self.account_id = rented.account_id
        self.service_id = rented.service_id
        self.server_ids = rented.servers
        self.addresses = rented.addresses
        self.email = email
        self.before = before
        self.api_url = story.system.api_url

    # Calls.

    async def call(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.story.system.api_key}", "X-Account-Id": self.account_id}
        if key is not None:
            headers["Idempotency-Key"] = key
        url = self.api_url + path
        answer = await self.story.http.request(method, url, headers=headers, json=body)
        if answer.status_code >= 500 and answer.status_code != 503:
            self.story.ledger.server_errors.append(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer

    async def patiently(self, call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """Send the very same again while the engine, or the API itself, is away."""
        answers: list[httpx.Response] = []

        async def answered() -> bool:
            try:
                answers.append(await call())
            except httpx.TransportError:
                return False
            return answers[-1].status_code != 503

        await eventually(answered, "an answer that isn't 503")
        return answers[-1]

    async def service(self) -> dict[str, Any]:
        answer = await self.call("GET", f"/v1/services/{self.service_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def mark(self, index: int, *, undo: bool = False) -> httpx.Response:
        server_id = self.server_ids[index]
        path = f"/v1/services/{self.service_id}/servers/{server_id}/deletion-mark"
        answer = await self.call("DELETE" if undo else "PUT", path)
        if answer.status_code == 204:
            self.story.ledger.marks[server_id] = "active" if undo else "marked"
        return answer

    async def renew(self, days: int, key: str | None = None) -> httpx.Response:
        path = f"/v1/services/{self.service_id}/renewals"
        key = key or str(uuid4())
        answer = await self.patiently(lambda: self.call("POST", path, {"days": days}, key=key))
        if answer.status_code == 201:
            told = self.story.ledger.renewals.setdefault(self.service_id, [])
            expires_at = datetime.fromisoformat(answer.json()["expires_at"])
            if expires_at not in told:
                told.append(expires_at)
        return answer

    async def quoted(self, **wanted: Any) -> dict[str, Any]:
        """Quote, and return the body of the confirm."""
        configuration = (await self.service())["configuration"] | wanted
        path = f"/v1/services/{self.service_id}/quotes"
        answer = await self.call("POST", path, {"configuration": configuration})
        assert answer.status_code == 200, answer.text
        quote = answer.json()
        destroys = [server["id"] for server in quote["destroys"]]
        acknowledge = {"no_refund": True, "destroys": destroys}
        return {"configuration": configuration, "digest": quote["digest"], "acknowledge": acknowledge}

    async def confirm(self, body: dict[str, Any], key: str) -> httpx.Response:
        path = f"/v1/services/{self.service_id}/plan-changes"
        answer = await self.call("POST", path, body, key=key)
        if answer.status_code == 201:
            told = answer.json()
            known = self.story.ledger.accepted.setdefault(told["id"], told)
            assert known["new_expires_at"] == told["new_expires_at"], "the same click, another answer"
        return answer

    async def confirmed(self, key: str = "click", **wanted: Any) -> str:
        """Quote and confirm, patiently; return the change's id."""
        body = await self.quoted(**wanted)
        answer = await self.patiently(lambda: self.confirm(body, key))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def type(self, change_id: str, code: str) -> httpx.Response:
        answer = await self.call("POST", f"/v1/plan-changes/{change_id}/code", {"code": code})
        problem = answer.json().get("type", "").rpartition("/")[2] if answer.status_code != 200 else None
        tried = Tried(change_id=change_id, code=code, status=answer.status_code, problem=problem)
        self.story.ledger.tries.append(tried)
        return answer

    async def typed(self, change_id: str, code: str) -> httpx.Response:
        """Type a code, and again while the engine is away."""
        return await self.patiently(lambda: self.type(change_id, code))

    async def resend(self, change_id: str) -> httpx.Response:
        return await self.patiently(
            lambda: self.call("POST", f"/v1/plan-changes/{change_id}/code/resend", {})
        )

    async def cancel(self, change_id: str) -> httpx.Response:
        return await self.patiently(lambda: self.call("POST", f"/v1/plan-changes/{change_id}/cancel", {}))

    async def looks(self, *, expired: bool) -> None:
        """Look at the service's history and at each of its changes; what is shown goes into the ledger."""
        its = [row["id"] for row in await self.story.changes(self)]
        shown = await self.patiently(lambda: self.call("GET", f"/v1/services/{self.service_id}/plan-changes"))
        looked = [
            await self.patiently(lambda it=it: self.call("GET", f"/v1/plan-changes/{it}"))  # type: ignore[misc]
            for it in its
        ]
        look = Look(
            service_id=self.service_id,
            changes=tuple(its),
            expired=expired,
            listed=tuple(change["id"] for change in shown.json()),
            statuses=tuple(answer.status_code for answer in looked),
        )
        self.story.ledger.looks.append(look)

    # What arrives, and what is to be seen.

    @property
    def mails(self) -> list[Mail]:
        return self.story.system.post.to(self.email)

    @property
    def codes(self) -> list[str]:
        """The codes of the mails that arrived, one that came twice once."""
        return list(dict.fromkeys(mail.code for mail in self.mails if mail.code))

    async def code(self, change_id: str, number: int = 1) -> str:
        """Wait until code `number` was handed over, and return it."""

        async def handed_over() -> bool:
            row = await self.story.row(change_id)
            return row is not None and row["code_number"] >= number and row["code_handed_over_at"] is not None

        await eventually(handed_over, f"code {number} to be handed over")
        return self.codes[-1]

    @property
    def run(self) -> str:
        return ids.plan_change_workflow_id(self.service_id)


class Story:
    """The customers of one scenario, on a system that others may have used before."""

    def __init__(self, system: FaultySystem) -> None:
        self.system = system
        self.customers: list[Customer] = []
        self.ledger = Ledger()
        self.http = httpx.AsyncClient(timeout=60)
        self.watch = Watch(system)
        self.first_mail = len(system.post.arrived)

    async def arrives(self, sharing: Customer | None = None, **situation: Any) -> Customer:
        """Add a customer as `tests.storage.rows.rent` describes one; the servers are real files.

        One who is `sharing` has a further service on that customer's account.
        """
        name = sharing.email.partition("@")[0] if sharing else f"canary-{uuid4().hex[:12]}"
        now = datetime.now(UTC).replace(microsecond=0)
        situation = {"expires_at": now + timedelta(days=20)} | situation
        passes, language = situation.pop("passes", 0), situation.pop("language", "fr")
        database = self.system.database
        account_id = (
            sharing.account_id
            if sharing
            else await add_account(database, name, language=language, passes=passes)
        )
        rented = await rent(self.system.database, account_id, **situation)
        samples = [
            SampleServer(
                server_id=server_id,
                name=f"server-{number}",
                address=address,
                game="minecraft",
                slots=situation.get("slots", 20),
                options=(),
                backups=number,
                kilobytes=4,
            )
            for number, (server_id, address) in enumerate(
                zip(rented.servers, rented.addresses, strict=True), start=1
            )
        ]
        await create_samples(samples, self.system.host_dir)
        customer = Customer(self, rented, f"{name}@example.com", await self._before(rented))
        self.customers.append(customer)
        self.watch.begin(rented.servers)
        return customer

    async def _before(self, rented: Rented) -> Before:
        rows = await read_tables(self.system.database)
        (service,) = [row for row in rows["services"] if row["id"] == rented.service_id]
        return Before(
            service=service,
            servers={row["id"]: row for row in rows["servers"] if row["service_id"] == rented.service_id},
            passes=[row for row in rows["passes"] if row["account_id"] == rented.account_id],
            files={it: digest_of(self.system.host_dir / it) for it in rented.servers},
        )

    async def host_writes(self, customer: Customer, **values: Any) -> None:
        """Alter a service as the host's own back office would; another expiry makes up for renewals."""
        self.ledger.host_wrote.setdefault(customer.service_id, {}).update(values)
        if "expires_at" in values:
            self.ledger.renewals.pop(customer.service_id, None)
        await set_values(self.system.database, tables.services, customer.service_id, **values)

    # Looking.

    async def row(self, change_id: str) -> dict[str, Any] | None:
        query = select(tables.plan_changes).where(tables.plan_changes.c.id == change_id)
        async with self.system.database.read() as connection:
            found = (await connection.execute(query)).mappings().one_or_none()
        return None if found is None else dict(found)

    async def changes(self, customer: Customer) -> list[dict[str, Any]]:
        query = select(tables.plan_changes).where(tables.plan_changes.c.service_id == customer.service_id)
        async with self.system.database.read() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def reaches(self, change_id: str, *stages: str) -> dict[str, Any]:
        async def arrived() -> dict[str, Any] | None:
            row = await self.row(change_id)
            return row if row is not None and row["stage"] in stages else None

        found: dict[str, Any] = await eventually(arrived, f"{change_id} at {stages}")
        return found

    async def idle(self, customer: Customer) -> None:
        """Wait until nothing of the customer's run is in flight: only then can its clock be moved."""
        handle = await self.handle(customer.run)

        async def nothing_pends() -> bool:
            described = (await handle.describe()).raw_description
            return not described.pending_activities and not described.HasField("pending_workflow_task")

        await eventually(nothing_pends, "the run to be idle")

    async def handle(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return (await self.system.client()).get_workflow_handle(workflow_id)

    async def forward(self, customer: Customer, by: timedelta) -> None:
        """Move the clock of the customer's change."""
        await self.system.forward(await self.handle(customer.run), by)

    async def is_running(self, workflow_id: str) -> bool:
        try:
            return (await (await self.handle(workflow_id)).describe()).close_time is None
        except RPCError:
            return False

    # The end.

    async def settle(self) -> None:
        """Let everything come to its end: windows run out, work is done, runs close."""
        for customer in self.customers:
            for change in await self.changes(customer):
                if change["stage"] == "awaiting_code":
                    await self._let_the_window_run_out(customer, change["id"])
        for customer in self.customers:
            for change in await self.changes(customer):
                await self._ends(customer, change["id"])

    async def _let_the_window_run_out(self, customer: Customer, change_id: str) -> None:
        if await self.is_running(customer.run):
            try:
                await asyncio.wait_for(self.forward(customer, _FAR), 20)
            except (TimeoutError, RPCError, RuntimeError):
                return  # it ended in between, or something is in flight: what is left is judged

    async def _ends(self, customer: Customer, change_id: str) -> None:
        """Wait for an end, or for what waits for an operator; the checker judges what came."""

        async def ended() -> bool:
            row = await self.row(change_id)
            if row is None or row["stage"] == "needs_attention":
                return True
            return row["stage"] in CLOSED and not await self.is_running(customer.run)

        try:
            await eventually(ended, f"{change_id} to end")
        except TooLate:
            return

    async def evidence(self) -> Evidence:
        """Read everything that there is to judge."""
        await self.watch.stop()
        return await Evidence.gather(self)

    async def close(self) -> None:
        await self.watch.stop()
        await self.http.aclose()


def problem(answer: httpx.Response) -> str:
    """Return the name of the problem that an answer is, with its status: `409 change-closed`."""
    if answer.status_code < 400:
        return str(answer.status_code)
    return f"{answer.status_code} {re.split('[/#]', answer.json()['type'])[-1]}"
