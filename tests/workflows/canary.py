"""I10: no code and no e-mail address is in a workflow's history, search attributes, memo or headers."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.service import RPCError

from tests.workflows.system import eventually
from tests.workflows.world import World
from workflows import ids


def texts_in(message: Message) -> Iterator[str]:
    """Yield every text below `message`, payloads decoded, failures, headers and maps among them."""
    if isinstance(message, Payload):
        yield from _texts_of_payload(message)
        return
    for field, value in message.ListFields():
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        entries = [*value.keys(), *value.values()] if is_map else value
        for entry in entries if is_map or field.is_repeated else [entries]:
            if isinstance(entry, Message):
                yield from texts_in(entry)
            elif isinstance(entry, bytes):
                yield entry.decode(errors="replace")
            elif isinstance(entry, str):
                yield entry


def _texts_of_payload(payload: Payload) -> Iterator[str]:
    """Yield the payload as it stands, and its values when it is JSON: escapes hide nothing."""
    raw = payload.data.decode(errors="replace")
    yield raw
    yield from (value.decode(errors="replace") for value in payload.metadata.values())
    if payload.metadata.get("encoding") == b"json/plain":
        yield from _texts_of_json(json.loads(raw))


def _texts_of_json(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _texts_of_json(entry)
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield name
            yield from _texts_of_json(entry)


def leaks(message: Message, secrets: Iterable[str]) -> list[str]:
    """Return the secrets that a text in `message` holds, in any case."""
    text = "\n".join(texts_in(message)).casefold()
    return [secret for secret in secrets if secret.casefold() in text]


def secrets_of(world: World) -> set[str]:
    """Return the customers' addresses and every code that was mailed or typed, with and without its dash."""
    mails = {customer.email for customer in world.customers} | {mail.recipient for mail in world.post.sent}
    names = {mail.partition("@")[0] for mail in mails}
    codes = {*world.mailed_codes(), *world.typed}
    bare = {"".join(letter for letter in code if letter.isalnum()) for code in codes}
    return mails | names | codes | bare | {"@example.com"}


async def runs_of(world: World) -> list[tuple[str, str]]:
    """Return all runs that the world's workers served, as workflow id and run id."""
    client = world.temporal.client
    known = {ids.plan_change_workflow_id(customer.service_id) for customer in world.customers}
    begun = [workflow_id for workflow_id in known if await _exists(client, workflow_id)]

    async def listed() -> list[tuple[str, str]] | None:
        query = f"TaskQueue = '{world.settings.task_queue}'"
        found = [(run.id, run.run_id) async for run in client.list_workflows(query)]
        return found if {workflow_id for workflow_id, _ in found} >= set(begun) else None

    return list(await eventually(listed, "the runs to be listed") if begun else [])


async def _exists(client: Client, workflow_id: str) -> bool:
    try:
        await client.get_workflow_handle(workflow_id).describe()
    except RPCError:
        return False
    return True


async def assert_no_secret_in_temporal(world: World) -> None:
    secrets = secrets_of(world)
    for workflow_id, run_id in await runs_of(world):
        handle = world.temporal.client.get_workflow_handle(workflow_id, run_id=run_id)
        description = await handle.describe()
        assert leaks(description.raw_description, secrets) == [], f"description of {workflow_id}"
        async for event in handle.fetch_history_events():
            assert leaks(event, secrets) == [], f"event {event.event_id} of {workflow_id}"
