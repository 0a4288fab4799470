"""The activities of a worker with a real database, a real host folder and a real mail server around them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from temporalio.testing import ActivityEnvironment

from activities.database import ChangeTransactions, CodeKeys
from activities.email import ChangeMails
from activities.evidence import EvidenceRecorder
from activities.servers import ServerWork
from activities.troubles import TroubleTransactions
from changeover import codes
from changeover.domain.catalogue import Configuration
from changeover.domain.confirmation import CodePolicy
from changeover.domain.facts import Policy
from changeover.domain.quote import Quote, assess
from changeover.hosts import Contents, Host, LocalHost
from changeover.hosts.sample import SampleServer, create_samples
from changeover.mail import SmtpOptions, SmtpTransport
from changeover.storage import changes, services, tables
from changeover.storage.catalogue import CatalogueReader
from changeover.storage.changes import Change
from changeover.storage.database import Database
from tests.storage.rows import DAY, MINUTE, T0, Rented, load_catalogue, rent, row_of, rows_of, set_values
from workflows import ids
from workflows.messages import (
    ChangeAt,
    ChangeRequest,
    CodeAttempt,
    HostOrder,
    HostWork,
    JudgeCode,
    Judged,
    OpenChange,
    Opened,
    TeardownOrder,
)

Order = TypeVar("Order")
Result = TypeVar("Result")

CODE_KEY, PROOF_KEY = b"c" * 32, b"p" * 32
CODE_POLICY = CodePolicy()
QUARANTINE = 7 * DAY


async def run(
    activity: Callable[[Order], Awaitable[Result]],
    order: Order,
    *,
    at: datetime | None = None,
    heartbeats: list[Any] | None = None,
    heard: Sequence[Any] = (),
) -> Result:
    """Run an activity as a worker does; `at` is when the Temporal server handed it out.

    `heartbeats` takes what it says meanwhile, `heard` is what the attempt before said last.
    """
    environment = ActivityEnvironment()
    environment.info = replace(
        environment.info, started_time=at or datetime.now(UTC), heartbeat_details=heard
    )
    if heartbeats is not None:
        environment.on_heartbeat = lambda *details: heartbeats.extend(details)
    return await environment.run(activity, order)


def transport_to(port: int) -> SmtpTransport:
    options = SmtpOptions(host="127.0.0.1", port=port, sender="noreply@panel.example", tls="none", timeout=5)
    return SmtpTransport(options)


@dataclass
class House:
    """What a worker has. `host_root` holds the servers' files."""

    database: Database
    host_root: Path
    smtp_port: int = 1

    def __post_init__(self) -> None:
        self.policy = Policy()
        self.keys = CodeKeys({"k1": CODE_KEY}, "k1", [PROOF_KEY])
        self.local = LocalHost(self.host_root)
        self.transactions = self.transactions_with(self.keys)
        self.troubles = TroubleTransactions(self.database)
        self.servers = self.servers_on(self.local)
        self.mails = self.mails_to(self.smtp_port)
        self.evidence = self.evidence_on(self.local)

    def transactions_with(self, keys: CodeKeys) -> ChangeTransactions:
        return ChangeTransactions(
            database=self.database,
            catalogue=CatalogueReader(),
            keys=keys,
            policy=self.policy,
            code_policy=CODE_POLICY,
        )

    def servers_on(self, host: Host) -> ServerWork:
        return ServerWork(self.database, CatalogueReader(), host, QUARANTINE)

    def evidence_on(self, host: Host) -> EvidenceRecorder:
        return EvidenceRecorder(self.database, host, QUARANTINE)

    def mails_to(self, port: int) -> ChangeMails:
        return ChangeMails(
            database=self.database,
            catalogue=CatalogueReader(),
            keys=self.keys,
            code_policy=CODE_POLICY,
            transport=transport_to(port),
            sender_domain="panel.example",
            time_zone="UTC",
        )

    # Customers.

    async def rent(self, account_id: str | None = None, **what: Any) -> Rented:
        if not await rows_of(self.database, tables.catalogues):
            await load_catalogue(self.database)
        return await rent(self.database, account_id, **what)

    async def put_on_host(self, rented: Rented, *, backups: int = 2, kilobytes: int = 8) -> None:
        samples = [
            SampleServer(
                server_id=server_id,
                name="server",
                address=address,
                game="minecraft",
                slots=20,
                options=(),
                backups=backups,
                kilobytes=kilobytes,
            )
            for server_id, address in zip(rented.servers, rented.addresses, strict=True)
        ]
        await create_samples(samples, self.host_root)

    async def found(self, server_id: str) -> Contents | None:
        return await self.local.find(server_id)

    # A change, step by step.

    async def quote(self, rented: Rented, wanted: Configuration, at: datetime = T0) -> Quote:
        async with self.database.read() as connection:
            found = await services.facts_and_catalogue(connection, CatalogueReader(), rented.service_id, at)
        assert found is not None
        facts, catalogue = found
        return assess(facts, wanted, catalogue, self.policy, at)

    async def set_stage(self, change_id: str, stage: str) -> None:
        """Put the change where a lost run left it."""
        await set_values(self.database, tables.plan_changes, change_id, stage=stage)

    async def request(
        self, rented: Rented, wanted: Configuration, at: datetime = T0, **different: Any
    ) -> ChangeRequest:
        """Return a request that accepts what is quoted; `different` says what is not as it should be."""
        quote = await self.quote(rented, wanted, at)
        request = ChangeRequest(
            change_id=ids.change_id(rented.account_id, rented.service_id, str(uuid4())),
            account_id=rented.account_id,
            service_id=rented.service_id,
            fingerprint="f" * 64,
            configuration=wanted,
            digest=quote.digest or "",
            no_refund=True,
            destroys=tuple(server.id for server in quote.destroys),
        )
        return replace(request, **different)

    async def open(self, request: ChangeRequest, at: datetime = T0) -> Opened:
        return await run(self.transactions.open_change, OpenChange(request=request, at=at))

    async def hand_over(self, change_id: str, at: datetime = T0 + MINUTE) -> None:
        """Say that the mail with the code was handed over."""
        expires_at = at + CODE_POLICY.ttl
        await set_values(
            self.database,
            tables.plan_changes,
            change_id,
            code_handed_over_at=at,
            code_expires_at=expires_at,
        )

    async def awaiting(self, rented: Rented, wanted: Configuration, at: datetime = T0) -> str:
        """Open a change whose code was mailed a minute later, and return its id."""
        request = await self.request(rented, wanted, at)
        opened = await self.open(request, at)
        assert opened.answer.reason is None
        await self.hand_over(request.change_id, at + MINUTE)
        return request.change_id

    async def change(self, change_id: str) -> Change:
        async with self.database.read() as connection:
            return await changes.get(connection, change_id)

    async def right_proof(self, change_id: str) -> str:
        return self.keys.proof_of(await self.change(change_id))

    def wrong_proof(self, change_id: str, number: int = 0) -> str:
        return codes.proof(PROOF_KEY, change_id, f"WRONG{number:03}")

    async def judge(
        self, change_id: str, proof: str, *, number: int = 1, at: datetime = T0 + 2 * MINUTE
    ) -> Judged:
        attempt = CodeAttempt(change_id=change_id, number=number, proof=proof)
        return await run(self.transactions.judge_code, JudgeCode(attempt=attempt, at=at))

    async def confirm(self, change_id: str, *, at: datetime = T0 + 2 * MINUTE) -> Judged:
        change = await self.change(change_id)
        proof = await self.right_proof(change_id)
        return await self.judge(change_id, proof, number=change.code_number, at=at)

    async def committed(self, rented: Rented, wanted: Configuration) -> str:
        """Run a change up to its commit, and return its id."""
        change_id = await self.awaiting(rented, wanted)
        judged = await self.confirm(change_id)
        assert judged.judgement == "accepted", judged
        return change_id

    async def create(self, change_id: str) -> None:
        await run(self.servers.create_servers, HostOrder(change_id=change_id))

    async def tear_down(self, change_id: str, server_id: str, host: Host | None = None) -> str:
        work = self.servers if host is None else self.servers_on(host)
        order = TeardownOrder(change_id=change_id, server_id=server_id)
        return (await run(work.tear_down, order)).outcome

    async def complete(self, change_id: str, at: datetime = T0 + 10 * MINUTE) -> str:
        state = await run(self.transactions.complete_change, ChangeAt(change_id=change_id, at=at))
        return state.stage

    # What is recorded.

    async def service_row(self, rented: Rented) -> dict[str, Any]:
        return await row_of(self.database, tables.services, id=rented.service_id)

    async def trail(self, change_id: str) -> list[dict[str, Any]]:
        return await rows_of(self.database, tables.trail, change_id=change_id)

    async def events(self, change_id: str) -> list[str]:
        return [entry["event"] for entry in await self.trail(change_id)]

    async def receipts(self, change_id: str, server_id: str) -> dict[str, dict[str, Any]]:
        rows = await rows_of(self.database, tables.receipts, change_id=change_id, server_id=server_id)
        return {row["step"]: row["evidence"] for row in rows}

    async def task(self, change_id: str, kind: HostWork, server_id: str) -> dict[str, Any]:
        return await row_of(
            self.database, tables.tasks, change_id=change_id, kind=str(kind), server_id=server_id
        )

    async def server_row(self, server_id: str) -> dict[str, Any]:
        return await row_of(self.database, tables.servers, id=server_id)

    async def address_row(self, address: str) -> dict[str, Any]:
        return await row_of(self.database, tables.addresses, address=address)


def in_parallel(count: int, make: Callable[[int], Awaitable[Result]]) -> Sequence[Awaitable[Result]]:
    return [make(number) for number in range(count)]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)
