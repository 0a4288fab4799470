"""All there is to judge after a run: rows, files, mails, histories, search attributes, logs, metrics."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import select
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError

from changeover import codes
from changeover.domain.confirmation import display
from changeover.storage.database import Database
from changeover.storage.tables import metadata
from tests.faults.post import Mail
from tests.faults.watch import Seen
from tests.workflows.canary import texts_in
from workflows import ids

if TYPE_CHECKING:
    from tests.faults.story import Before, Ledger, Story

Table = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A workflow run: its history, and all texts of it and of its description, decoded."""

    workflow_id: str
    status: str
    pending: str
    history: WorkflowHistory
    history_text: str
    description_text: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """A customer of the scenario, and what they and a stranger see at the end."""

    account_id: str
    service_id: str
    email: str
    server_ids: tuple[str, ...]
    before: "Before"
    sees: dict[str, Any]
    stranger: list[str]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What `checker.judge` looks at. Rows are those of the scenario's customers; addresses are all."""

    rows: dict[str, Table]
    files: dict[str, str]
    people: list[Person]
    ledger: "Ledger"
    mails: list[Mail]
    seen: Seen
    runs: list[Run]
    logs: dict[str, str]
    metrics: str
    temporal_file: bytes
    rewriting_refused: bool
    expected_codes: dict[tuple[str, int], str]
    accepting_proofs: dict[str, str]

    def codes_of(self, change_id: str) -> set[str]:
        """Return the codes that the change has had."""
        return {code for (its, _), code in self.expected_codes.items() if its == change_id}

    @classmethod
    async def gather(cls, story: "Story", probed: int | None = None) -> "Evidence":
        """Read everything. A stranger asks for the things of the first `probed` customers (None: of all)."""
        system = story.system
        everything = await read_tables(system.database)
        people = [
            await _person(story, customer, everything, by_stranger=probed is None or number < probed)
            for number, customer in enumerate(story.customers)
        ]
        rows = scope(await read_tables(system.database), people)
        expected, proofs = codes_and_proofs(rows, system.code_keys, system.proof_key)
        servers = [row["id"] for row in rows["servers"]]
        temporal = [system.folder / f"temporal.db{end}" for end in ("", "-wal")]
        return cls(
            rows=rows,
            files={server_id: digest_of(system.host_dir / server_id) for server_id in servers},
            people=people,
            ledger=story.ledger,
            mails=system.post.arrived[story.first_mail :],
            seen=story.watch.seen,
            runs=await runs_of(await system.client(), rows),
            logs={file.name: file.read_text(errors="replace") for file in sorted(system.logs.iterdir())},
            metrics=(await story.http.get(f"{system.api_url}/metrics")).text,
            temporal_file=b"".join(file.read_bytes() for file in temporal if file.exists()),
            rewriting_refused=await rewriting_is_refused(system.database),
            expected_codes=expected,
            accepting_proofs=proofs,
        )


def codes_and_proofs(
    rows: dict[str, Table], code_keys: dict[str, bytes], proof_key: bytes
) -> tuple[dict[tuple[str, int], str], dict[str, str]]:
    """Return the codes of all changes, as they are shown, and the proof that each change would accept."""
    derived = {
        (change["id"], number): codes.derive(
            code_keys[change["code_key_id"]], change["id"], number, change["confirmation_digest"]
        )
        for change in rows["plan_changes"]
        if change["confirmation_digest"]
        for number in range(1, change["code_number"] + 1)
    }
    proofs = {
        change["id"]: codes.proof(proof_key, change["id"], derived[change["id"], change["code_number"]])
        for change in rows["plan_changes"]
        if change["confirmation_digest"]
    }
    return {key: display(code) for key, code in derived.items()}, proofs


async def read_tables(database: Database) -> dict[str, Table]:
    """Return all rows of all tables, in one state."""
    async with database.read() as connection:
        return {
            table.name: [
                dict(row)
                for row in (
                    await connection.execute(select(table).order_by(*table.primary_key.columns))
                ).mappings()
            ]
            for table in metadata.sorted_tables
        }


def scope(rows: dict[str, Table], people: list[Person]) -> dict[str, Table]:
    """Keep what concerns the scenario's customers, and all addresses."""
    accounts = {person.account_id for person in people}
    services = {row["id"] for row in rows["services"] if row["account_id"] in accounts}
    changes = {row["id"] for row in rows["plan_changes"] if row["account_id"] in accounts}
    keys = {"service_id": services, "change_id": changes, "account_id": accounts}

    def is_theirs(name: str, row: dict[str, Any]) -> bool:
        if name in {"addresses", "catalogues", "offers", "offer_options", "api_keys"}:
            return True
        if name == "accounts":
            return row["id"] in accounts
        return any(row.get(key) in theirs for key, theirs in keys.items() if key in row)

    return {name: [row for row in table if is_theirs(name, row)] for name, table in rows.items()}


def host_files(folder: Path) -> list[Path]:
    """Return the customer's files of a server: data and backups, not the host's own settings."""
    return sorted(
        path for part in ("data", "backups") for path in (folder / part).rglob("*") if path.is_file()
    )


def digest_of(folder: Path) -> str:
    """Return a digest of a server's data and backups; empty when the server is gone."""
    if not folder.exists():
        return ""
    digest = hashlib.sha256()
    for path in host_files(folder):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


async def runs_of(client: Client, rows: dict[str, Table]) -> list[Run]:
    """Return all runs of the scenario: of its services, of their servers, and of outcome mails."""
    wanted = {ids.plan_change_workflow_id(row["id"]) for row in rows["services"]}
    wanted |= {ids.teardown_workflow_id(row["id"]) for row in rows["servers"]}
    wanted |= {ids.outcome_mail_workflow_id(row["id"]) for row in rows["plan_changes"]}
    # The newest run of each id is always there; older ones are found once visibility has caught up.
    handles = [client.get_workflow_handle(workflow_id) for workflow_id in sorted(wanted)]
    handles += [
        client.get_workflow_handle(listed.id, run_id=listed.run_id)
        async for listed in client.list_workflows()
        if listed.id in wanted
    ]
    found: dict[str, Run] = {}
    for handle in handles:
        if handle.run_id in found:
            continue
        try:
            described = await handle.describe()
            history = await handle.fetch_history()
        except RPCError:
            continue  # there never was such a run
        found[described.run_id] = Run(
            workflow_id=handle.id,
            status=described.status.name if described.status else "",
            pending=_pending(described.raw_description),
            history=history,
            history_text="\n".join(text for event in history.events for text in texts_in(event)),
            description_text="\n".join(texts_in(described.raw_description)),
        )
    return list(found.values())


def _pending(described: DescribeWorkflowExecutionResponse) -> str:
    """Say what a run waits for, for whoever looks into one that hangs."""
    waits = [
        f"{activity.activity_type.name} attempt {activity.attempt}: {activity.last_failure.message}"
        for activity in described.pending_activities
    ]
    waits += [f"child {child.workflow_id}" for child in described.pending_children]
    if described.HasField("pending_workflow_task"):
        waits.append(f"workflow task attempt {described.pending_workflow_task.attempt}")
    return "; ".join(waits)


async def rewriting_is_refused(database: Database) -> bool:
    """Try to rewrite the trail and the receipts, as somebody who owns the database might."""
    refused = 0
    statements = [
        f"{verb} trail" if verb == "DELETE FROM" else f"{verb} trail SET actor = 'x'"
        for verb in ("DELETE FROM", "UPDATE")
    ]
    for statement in statements:

        async def work(connection: Any, statement: str = statement) -> None:
            await connection.exec_driver_sql(statement)
            raise _Taken

        try:
            await database.write(work)
        except _Taken:
            pass
        except Exception as error:  # noqa: BLE001 - each driver has its own
            refused += bool(re.search("append-only|trail", str(error)))
    return refused == len(statements)


class _Taken(Exception):
    """The statement was taken; its transaction is rolled back by this."""


async def _person(story: "Story", customer: Any, rows: dict[str, Table], *, by_stranger: bool) -> Person:
    changes = [row["id"] for row in rows["plan_changes"] if row["service_id"] == customer.service_id]
    history = await customer.call("GET", f"/v1/services/{customer.service_id}/plan-changes")
    looks = {it: (await customer.call("GET", f"/v1/plan-changes/{it}")).status_code for it in changes}
    return Person(
        account_id=customer.account_id,
        service_id=customer.service_id,
        email=customer.email,
        server_ids=customer.server_ids,
        before=customer.before,
        sees={"history": history.json(), "changes": looks},
        stranger=await _what_a_stranger_gets(story, customer, changes) if by_stranger else [],
    )


async def _what_a_stranger_gets(story: "Story", customer: Any, changes: list[str]) -> list[str]:
    """Ask for everything of the customer's as another account; return what isn't refused."""
    stranger = {
        "Authorization": f"Bearer {story.system.api_key}",
        "X-Account-Id": await story.system.stranger(),
        "Idempotency-Key": "stranger",
    }
    base = f"/v1/services/{customer.service_id}"
    configuration = {"offer": "blocks", "slots": 20, "options": [], "server_count": 3}
    confirm = {
        "configuration": configuration,
        "digest": "0" * 64,
        "acknowledge": {"no_refund": True, "destroys": []},
    }
    calls: list[tuple[str, str, Any]] = [
        ("GET", base, None),
        ("GET", f"{base}/offers", None),
        ("GET", f"{base}/plan-changes", None),
        ("POST", f"{base}/quotes", {"configuration": configuration}),
        ("POST", f"{base}/plan-changes", confirm),
        ("POST", f"{base}/renewals", {"days": 1}),
    ]
    for server_id in customer.server_ids:
        mark = f"{base}/servers/{server_id}/deletion-mark"
        calls += [("PUT", mark, None), ("DELETE", mark, None)]
    for change_id in changes:
        change = f"/v1/plan-changes/{change_id}"
        calls += [
            ("GET", change, None),
            ("GET", f"{change}/events", None),
            ("POST", f"{change}/code", {"code": "BCDF-GHJK"}),
            ("POST", f"{change}/code/resend", {}),
            ("POST", f"{change}/cancel", {}),
        ]
    before = await read_tables(story.system.database)
    wrong = []
    async with httpx.AsyncClient(base_url=story.system.api_url, headers=stranger, timeout=30) as client:
        for method, path, body in calls:
            answer = await client.request(method, path, json=body)
            if answer.status_code != 404:
                wrong.append(f"{method} {path}: {answer.status_code}")
        listed = await client.get("/v1/services")
        if customer.service_id in listed.text:
            wrong.append("GET /v1/services lists another's service")
    after = await read_tables(story.system.database)
    written = ("services", "servers", "passes", "plan_changes", "code_tries", "trail")
    changed = [it for it in written if _by_customers(before, it) != _by_customers(after, it)]
    wrong += [f"a stranger changed {name}" for name in changed]
    return wrong


def _by_customers(rows: dict[str, Table], name: str) -> Table:
    """Return what a customer's call can write: host work and outcome mails may still go on by themselves."""
    if name == "trail":
        return [row for row in rows[name] if row["actor"] == "customer"]
    return rows[name]
