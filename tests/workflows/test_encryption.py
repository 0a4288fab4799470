"""With payload keys a whole change is encrypted in Temporal, each payload for its own workflow."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import Client, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from changeover.payload_encryption import ENCODING, data_converter
from starter.codec_server import create_codec_server
from tests.workflows.checks import assert_trails_tell_the_truth
from tests.workflows.system import short_patience
from tests.workflows.world import open_world
from worker import WORKFLOWS
from workflows import ids

KEYS = {"2026": b"k" * 32}
LOCAL_ACTIVITY = {
    *("seq", "attempt", "activity_id", "activity_type", "activation_index"),
    *("complete_time", "original_schedule_time", "backoff"),
}
UI = "http://127.0.0.1:8233"


class Encrypting:
    """The session's Temporal server, with a client that encrypts."""

    def __init__(self, environment: WorkflowEnvironment) -> None:
        config = environment.client.config() | {"data_converter": data_converter(KEYS, "2026")}
        self.client = Client(**config)


def payloads_in(found: Any) -> Iterator[dict[str, Any]]:
    """Return every payload of a history as JSON, but search attributes, which nobody encrypts."""
    if isinstance(found, dict):
        if "metadata" in found and "data" in found:
            yield found
        for name, value in found.items():
            if name != "searchAttributes":
                yield from payloads_in(value)
    elif isinstance(found, list):
        for value in found:
            yield from payloads_in(value)


async def replay(history: WorkflowHistory) -> None:
    replayer = Replayer(
        workflows=WORKFLOWS,
        namespace="default",
        data_converter=data_converter(KEYS, "2026"),
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    await replayer.replay_workflow(history)


async def test_a_change_is_encrypted_from_its_summary_to_its_result_and_replays(
    temporal: WorkflowEnvironment, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_patience(monkeypatch)
    async with open_world(Encrypting(temporal), tmp_path, template) as world:  # type: ignore[arg-type]
        await world.arrives()
        await world.mark(2)
        asked = await world.ask(servers=2, slots=24)
        await world.confirm(asked.id)
        await world.ends(asked.id, "completed")
        await assert_trails_tell_the_truth(world)
        teardown = world.temporal.client.get_workflow_handle(ids.teardown_workflow_id(world.me.server_ids[2]))
        histories = [await world.run_of_service().fetch_history(), await teardown.fetch_history()]

    for history in histories:
        told = list(payloads_in(history.to_json_dict()))
        assert len(told) > 3
        for payload in parsed(told).payloads:
            if payload.metadata["encoding"] != ENCODING:  # the SDK's own note of a local activity
                assert json.loads(payload.data).keys() <= LOCAL_ACTIVITY, payload
        await replay(history)

    # What the UI shows is decoded by the codec server: inputs, results, and the summaries of runs and steps.
    decoded = await decode(list(payloads_in([history.to_json_dict() for history in histories])))
    words = b"".join(payload.data for payload in decoded)
    for told_in_words in (asked.id, "Check the code and commit", "Destroy server-3", "Les Renards"):
        assert told_in_words.encode() in words, told_in_words


def parsed(payloads: list[dict[str, Any]]) -> Payloads:
    return ParseDict({"payloads": payloads}, Payloads())


async def decode(payloads: list[dict[str, Any]]) -> list[Payload]:
    app = create_codec_server(KEYS, "2026", origin=UI, namespace="default")
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8081") as client:
        body = json.dumps(MessageToDict(parsed(payloads)))
        answer = await client.post("/decode", content=body, headers={"origin": UI})
    assert answer.status_code == 200, answer.text
    return list(parsed(answer.json()["payloads"]).payloads)
