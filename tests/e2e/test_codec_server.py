"""`changeover codec-server` as a process: the Temporal UI shows what is encrypted, others get nothing."""

import base64
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from playwright.async_api import expect
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import Client
from temporalio.converter import WorkflowSerializationContext
from temporalio.testing import WorkflowEnvironment

from changeover.payload_encryption import EncryptionCodec, data_converter
from starter.cli import exits
from starter.embedded import temporal_server
from tests.e2e.running import COMMAND, clean_environment, free_port_base
from tests.starter.panel.browsing import browsing
from tests.starter.panel.system import chromium

KEY_ID, KEY = "2026-11", "k" * 32
NAMESPACE = "default"
SECRET = "3 servers to 2, without a refund"
SETTINGS = {
    "CHANGEOVER_DATABASE_URL": "sqlite+aiosqlite:///nowhere.db",
    "CHANGEOVER_PROOF_KEY": "p" * 32,
}
ENCRYPTING = {"CHANGEOVER_PAYLOAD_KEYS": json.dumps({KEY_ID: KEY}), "CHANGEOVER_PAYLOAD_KEY_ID": KEY_ID}
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,x-namespace",
}


@dataclass(frozen=True)
class Server:
    """The codec server's address, and the UI's, which is the only one it answers."""

    url: str
    ui: str

    def ask(self, method: str, origin: str, **request: str | bytes) -> httpx.Response:
        headers = {"origin": origin, "x-namespace": NAMESPACE, "content-type": "application/json"}
        headers |= PREFLIGHT if method == "OPTIONS" else {}
        return httpx.request(method, f"{self.url}/decode", headers=headers, timeout=30, **request)  # type: ignore[arg-type]


@contextmanager
def codec_server(port: int, ui: str) -> Iterator[Server]:
    """Run it for the block; it ends well when it is told to."""
    process = subprocess.Popen(
        [COMMAND, "codec-server", "--port", str(port), "--origin", ui],
        env=clean_environment() | SETTINGS | ENCRYPTING | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said == f"http://127.0.0.1:{port} decodes payloads of the namespace {NAMESPACE} for {ui}\n"
        transport = httpx.HTTPTransport(retries=10)  # it says so just before it listens
        with httpx.Client(transport=transport) as client:
            client.get(f"http://127.0.0.1:{port}/")
        yield Server(f"http://127.0.0.1:{port}", ui)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    base = free_port_base()
    with codec_server(base + 1, f"http://127.0.0.1:{base}") as running:
        yield running


@pytest.fixture
async def sealed() -> bytes:
    """What the UI sends: payloads of a run, as Temporal has them."""
    context = WorkflowSerializationContext(namespace=NAMESPACE, workflow_id="plan-change/1")
    codec = EncryptionCodec.of({KEY_ID: KEY.encode()}, KEY_ID).with_context(context)
    plain = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(SECRET).encode())
    return json.dumps(MessageToDict(Payloads(payloads=await codec.encode([plain])))).encode()


def test_the_ui_s_browser_may_ask_and_is_answered(server: Server, sealed: bytes) -> None:
    assert SECRET.encode() not in sealed
    allowed = server.ask("OPTIONS", server.ui)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == server.ui
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert {"content-type", "x-namespace"} <= set(
        allowed.headers["access-control-allow-headers"].lower().split(", ")
    )
    answer = server.ask("POST", server.ui, content=sealed)
    assert answer.headers["access-control-allow-origin"] == server.ui
    (payload,) = answer.json()["payloads"]
    assert json.loads(base64.b64decode(payload["data"])) == SECRET


def test_a_page_elsewhere_may_neither_ask_nor_read(server: Server, sealed: bytes) -> None:
    elsewhere = "https://elsewhere.example"
    refused = server.ask("OPTIONS", elsewhere)
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    answer = server.ask("POST", elsewhere, content=sealed)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert "payloads" not in answer.text


def test_without_a_key_it_says_so_and_does_not_start() -> None:
    done = subprocess.run(
        [COMMAND, "codec-server"],
        env=clean_environment() | SETTINGS,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == exits.SETTINGS
    assert "CHANGEOVER_PAYLOAD_KEY_ID is not set" in done.stderr


@pytest.fixture
async def temporal(server: Server) -> AsyncIterator[WorkflowEnvironment]:
    """A server whose UI knows the codec server, as operators enter it under the glasses symbol."""
    environment = await WorkflowEnvironment.start_local(
        data_converter=data_converter({KEY_ID: KEY.encode()}, KEY_ID),
        dev_server_existing_path=str(temporal_server.executable()),
        dev_server_log_level="never",
        ui=True,
        ui_port=int(server.ui.rpartition(":")[2]),
        dev_server_extra_args=["--ui-disable-news-fetch", "--ui-codec-endpoint", server.url],
    )
    yield environment
    await environment.shutdown()


@pytest.mark.skipif(chromium() is None, reason="no chromium here (apt-get install chromium)")
async def test_the_temporal_ui_shows_what_is_encrypted(server: Server, temporal: WorkflowEnvironment) -> None:
    client: Client = temporal.client
    run = await client.start_workflow("PlanChange", SECRET, id="plan-change/1", task_queue="nobody-s")
    history = await run.fetch_history()
    assert SECRET.encode() not in b"".join(event.SerializeToString() for event in history.events)
    page_of_the_run = (
        f"{server.ui}/namespaces/default/workflows/plan-change%2F1/{run.first_execution_run_id}/history"
    )
    async with browsing() as browser:
        page = await browser.browser.new_page()
        await page.goto(page_of_the_run)
        await expect(page.get_by_text(SECRET).first).to_be_visible(timeout=60_000)
