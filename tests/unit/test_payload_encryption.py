"""Payloads in Temporal: nobody reads them without a key, and they decode only where they belong."""

import json

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import CompositePayloadConverter, WorkflowSerializationContext

from changeover.payload_encryption import EncryptionCodec, PayloadUndecodable, data_converter
from starter.codec_server import create_codec_server

KEYS = {"old": b"o" * 32, "new": b"n" * 32}
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"the secret recap"')
UI = "http://127.0.0.1:8233"


def codec_of(
    workflow_id: str, namespace: str = "changeover", current: str = "new", keys: dict[str, bytes] = KEYS
) -> EncryptionCodec:
    context = WorkflowSerializationContext(namespace=namespace, workflow_id=workflow_id)
    return EncryptionCodec.of(keys, current).with_context(context)


async def test_a_payload_is_unreadable_and_comes_back_as_it_was() -> None:
    (sealed,) = await codec_of("plan-change/1").encode([PLAIN])
    assert b"recap" not in sealed.SerializeToString()
    assert await codec_of("plan-change/1").decode([sealed]) == [PLAIN]
    (again,) = await codec_of("plan-change/1").encode([PLAIN])
    assert again.data != sealed.data


@pytest.mark.parametrize(
    ("workflow_id", "namespace"), [("plan-change/2", "changeover"), ("plan-change/1", "other")]
)
async def test_a_payload_moved_elsewhere_does_not_decode(workflow_id: str, namespace: str) -> None:
    (sealed,) = await codec_of("plan-change/1").encode([PLAIN])
    with pytest.raises(PayloadUndecodable, match="plan-change/1 is no one else's"):
        await codec_of(workflow_id, namespace).decode([sealed])
    relabelled = Payload()
    relabelled.CopyFrom(sealed)
    relabelled.metadata["bound-to"] = f"{namespace}/{workflow_id}".encode()
    for reader in (codec_of(workflow_id, namespace), EncryptionCodec.of(KEYS, "new")):
        with pytest.raises(PayloadUndecodable, match="altered"):
            await reader.decode([relabelled])


async def test_an_altered_payload_does_not_decode() -> None:
    (sealed,) = await codec_of("plan-change/1").encode([PLAIN])
    sealed.data = sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])
    with pytest.raises(PayloadUndecodable, match="altered"):
        await codec_of("plan-change/1").decode([sealed])


async def test_old_keys_still_read_and_a_missing_one_is_named() -> None:
    (sealed,) = await codec_of("plan-change/1", current="old").encode([PLAIN])
    assert await codec_of("plan-change/1", current="new").decode([sealed]) == [PLAIN]
    with pytest.raises(PayloadUndecodable, match="payload key old is not in CHANGEOVER_PAYLOAD_KEYS"):
        await codec_of("plan-change/1", keys={"new": KEYS["new"]}).decode([sealed])


async def test_what_was_written_before_encryption_is_still_read() -> None:
    assert await codec_of("plan-change/1").decode([PLAIN]) == [PLAIN]


async def test_the_input_of_a_schedule_decodes_in_the_runs_it_starts() -> None:
    (sealed,) = await codec_of("reconcile").encode([PLAIN])
    assert await codec_of("reconcile-2026-11-24T03:00:00Z").decode([sealed]) == [PLAIN]
    for other in ("reconcile-2", "reconcile-2026-11-24T03:00:00Z/x"):
        with pytest.raises(PayloadUndecodable):
            await codec_of(other).decode([sealed])


async def ask(sealed: Payload, **headers: str) -> httpx.Response:
    app = create_codec_server(KEYS, "new", origin=UI, namespace="changeover")
    body = json.dumps(MessageToDict(Payloads(payloads=[sealed])))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8081") as client:
        sent = {"origin": UI, "x-namespace": "changeover"} | headers
        return await client.post("/decode", content=body, headers=sent)


async def test_the_codec_server_decodes_for_the_ui() -> None:
    (sealed,) = await codec_of("plan-change/1").encode([PLAIN])
    answer = await ask(sealed)
    assert answer.json() == MessageToDict(Payloads(payloads=[PLAIN]))
    assert answer.headers["access-control-allow-origin"] == UI


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://elsewhere.example"}, 403),
        ({"x-namespace": "other"}, 403),
        ({"host": "elsewhere.example"}, 400),
    ],
    ids=["origin", "namespace", "host"],
)
async def test_the_codec_server_answers_nobody_else(headers: dict[str, str], status: int) -> None:
    (sealed,) = await codec_of("plan-change/1").encode([PLAIN])
    answer = await ask(sealed, **headers)
    assert answer.status_code == status
    assert "recap" not in answer.text


async def test_the_codec_server_says_what_it_can_not_decode() -> None:
    (sealed,) = await codec_of("plan-change/1", keys={"new": b"x" * 32}).encode([PLAIN])
    answer = await ask(sealed)
    assert (answer.status_code, "altered" in answer.json()["message"]) == (400, True)


def test_what_reads_json_is_made_once_not_for_each_run() -> None:
    for converter in (data_converter({}, None), data_converter({"a": b"a" * 32}, "a")):
        of_one_run, of_another = converter.payload_converter_class(), converter.payload_converter_class()
        assert isinstance(of_one_run, CompositePayloadConverter)
        assert isinstance(of_another, CompositePayloadConverter)
        assert of_one_run.converters[b"json/plain"] is of_another.converters[b"json/plain"]
