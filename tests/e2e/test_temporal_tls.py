"""TLS and client certificates to Temporal, by Temporal's own settings: the dev server behind a TLS proxy."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from temporalio.testing import WorkflowEnvironment

from changeover.domain.problems import EngineUnavailable
from starter.engine import connect_to_temporal


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A proxy that takes TLS with a client certificate, and what a client needs for it."""

    port: int
    environment: dict[str, str]


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def gate(temporal: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[Gate]:
    host, _, port = temporal.client.service_client.config.target_host.rpartition(":")
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.set_alpn_protocols(["h2"])

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_pour(reader, behind[1]), _pour(behind[0], writer))

    client = authority.issue_cert("worker@changeover")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    client.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    server = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=tls)
    listens_on = server.sockets[0].getsockname()[1]
    yield Gate(
        port=listens_on,
        environment={
            "TEMPORAL_ADDRESS": f"localhost:{listens_on}",
            "TEMPORAL_TLS": "true",
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(tmp_path / "ca.pem"),
            "TEMPORAL_TLS_CLIENT_CERT_PATH": str(tmp_path / "client.pem"),
            "TEMPORAL_TLS_CLIENT_KEY_PATH": str(tmp_path / "client.key"),
        },
    )
    server.close()


@pytest.fixture(autouse=True)
def no_other_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where a profile file would be


async def test_a_client_certificate_opens_the_way(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in gate.environment.items():
        monkeypatch.setenv(name, value)
    client = await connect_to_temporal()
    assert await client.service_client.check_health()
    assert [run async for run in client.list_workflows("WorkflowId = 'none'")] == []


@pytest.mark.parametrize("missing", ["client certificate", "authority", "TLS"])
async def test_without_it_there_is_no_way(
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    missing: str,
) -> None:
    environment = dict(gate.environment)
    if missing == "client certificate":
        del environment["TEMPORAL_TLS_CLIENT_CERT_PATH"], environment["TEMPORAL_TLS_CLIENT_KEY_PATH"]
    elif missing == "authority":
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    else:
        environment = {"TEMPORAL_ADDRESS": environment["TEMPORAL_ADDRESS"]}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    caplog.set_level("INFO", "changeover.engine")
    with pytest.raises(EngineUnavailable):
        await asyncio.wait_for(connect_to_temporal(), 30)
    assert f"Temporal at localhost:{gate.port}: " in caplog.text
    assert missing != "authority" or "UnknownIssuer" in caplog.text
