"""What no client of ours ever sends: it is refused with a word, and breaks nothing."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from changeover.settings import VARIABLES, SettingsUnreadable, WorkerSettings, load, mistakes
from starter.api.bodies import MOST_BYTES
from tests.starter.api.conftest import Api, api_process, new_key
from tests.starter.conftest import _make, in_thread

RIGHT = {"configuration": {"offer": "cs2-public", "slots": 24, "options": [], "server_count": 3}}
WELL_FORMED = json.dumps(RIGHT)
MANY = {"configuration": RIGHT["configuration"] | {"options": ["x"] * 51}}
LOOK = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def nested(depth: int) -> bytes:
    return b'{"configuration":' + b"[" * depth + b"]" * depth + b"}"


BODIES: dict[str, bytes] = {
    "deep arrays": nested(20_000),
    "deep objects": b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
    "NUL": b"\0",
    "NUL in a text": WELL_FORMED.replace("cs2-public", "cs2\\u0000public").encode(),
    "a lone surrogate": WELL_FORMED.replace("cs2-public", "cs2-\\ud800").encode(),
    "a surrogate in UTF-8": WELL_FORMED.replace("cs2-public", "cs2-X")
    .encode()
    .replace(b"X", b"\xed\xa0\x80"),
    "an e-mail address": WELL_FORMED.replace("cs2-public", "alice@example.com").encode(),
    "a huge number": WELL_FORMED.replace("24", "9" * 5_000).encode(),
    "a huge exponent": WELL_FORMED.replace("24", "1e999999999").encode(),
    "NaN": WELL_FORMED.replace("24", "NaN").encode(),
    "a truth value": WELL_FORMED.replace("24", "true").encode(),
    "a number as text": WELL_FORMED.replace("24", '"24"').encode(),
    "UTF-16": WELL_FORMED.encode("utf-16"),
    "two documents": (WELL_FORMED * 2).encode(),
    "a comment": b"/* */" + WELL_FORMED.encode(),
    "too long": b'{"configuration": "' + b"x" * MOST_BYTES + b'"}',
    "too many options": json.dumps(
        {"configuration": RIGHT["configuration"] | {"options": ["x"] * 51}}
    ).encode(),
    "a field of Python's": WELL_FORMED.replace('"offer"', '"__class__"').encode(),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_malformed_body_is_refused_with_its_field_and_not_repeated(api: Api, name: str) -> None:
    service = api.seeded.service_id("alice")
    answer = await api.call("POST", f"/v1/services/{service}/quotes", content=BODIES[name])
    assert answer.status_code == 422, answer.text
    told = answer.json()
    assert told["type"] == "/problems/request-invalid"
    assert told["field"]
    assert len(answer.content) < 1_000


async def test_of_two_equal_keys_the_last_one_is_meant_everywhere(api: Api) -> None:
    """As JSON parsers do: what is judged is what is answered, so that no two readers can differ."""
    service = api.seeded.service_id("alice")
    body = WELL_FORMED.replace('"slots": 24', '"slots": 20, "slots": 24').encode()
    answer = await api.call("POST", f"/v1/services/{service}/quotes", content=body)
    once = await api.call("POST", f"/v1/services/{service}/quotes", json=RIGHT)
    assert answer.json()["digest"] == once.json()["digest"]


@pytest.mark.parametrize(
    "header",
    ["X-Account-Id", "Idempotency-Key", "Last-Event-ID", "Accept-Language", "X-Request-Id", "Authorization"],
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.binary(max_size=300).filter(lambda it: not set(it) & {0, 10, 13}))
@example(value=b"\xff" * 300)
@example(value=b"k" * 256)
@example(value="clé".encode())
async def test_no_header_is_too_strange(api: Api, header: str, value: bytes) -> None:
    service = api.seeded.service_id("alice")
    headers: dict[str, Any] = {"Idempotency-Key": "k", header: value}
    answer = await api.call("POST", f"/v1/services/{service}/renewals", headers=headers, content=b"{")
    assert answer.status_code in {400, 401, 404, 422}, answer.text
    assert all(set(it.encode()).isdisjoint({10, 13}) for it in answer.headers.values())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(code=st.text(max_size=120))
@example(code="\0" * 8)
@example(code="BCDF\nGHJK")
@example(code="\uff22" * 120)
async def test_no_typed_code_is_too_strange(api: Api, code: str) -> None:
    path = "/v1/plan-changes/0d9d2c5b-6a8f-5b7e-b0a4-9c3b7d1e2f40/code"
    content = json.dumps({"code": code}).encode()
    assert (await api.call("POST", path, content=content)).status_code == 404


# Over a socket: what an HTTP client library wouldn't send.


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, str]]:
    path = tmp_path_factory.mktemp("served") / "changeover.db"
    in_thread(_make(path))
    url = f"sqlite+aiosqlite:///{path}"
    environ = {
        "CHANGEOVER_DATABASE_URL": url,
        "CHANGEOVER_PROOF_KEY": "proofs-of-typed-codes-for-tests-only",
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
    }
    with api_process(environ) as (api_url, _):
        where = urlsplit(api_url)
        assert where.hostname is not None
        assert where.port is not None
        yield where.hostname, where.port, new_key(url)


def raw(served: tuple[str, int, str], request: bytes, patience: float = 10) -> bytes:
    """Send bytes as they are, and return what comes back until the server has said all."""
    host, port, key = served
    with socket.create_connection((host, port), timeout=patience) as connection:
        connection.sendall(request.replace(b"KEY", key.encode()))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
        return answer


HEAD = b"GET /v1/services HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"X-Account-Id: a\x00b\r\n\r\n",
        HEAD + b"X-Account-Id: a\nX-Injected: b\r\n\r\n",
        HEAD + b"X-Account-Id : a\r\n\r\n",
        HEAD + b" folded: x\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"X-Big: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET http://evil.example/v1/services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /v1/services\r\nX: y HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_a_request_that_is_none_gets_no_page_and_the_next_is_served(
    served: tuple[str, int, str], request_: bytes
) -> None:
    answer = raw(served, request_)
    status = int(answer.split(b" ", 2)[1]) if answer else 400
    assert 400 <= status < 500, answer[:300]
    assert b"Traceback" not in answer
    assert b"X-Injected" not in answer
    assert raw(served, LOOK).startswith(b"HTTP/1.1 200")


def test_clients_that_never_end_their_request_hold_up_nobody(served: tuple[str, int, str]) -> None:
    host, port, _ = served
    slow = [socket.create_connection((host, port), timeout=10) for _ in range(200)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(HEAD if number % 2 else b"POST /v1/services/x/quotes HTTP/1.1\r\nContent-Le")
        since = time.monotonic()
        answer = raw(served, LOOK)
        assert answer.startswith(b"HTTP/1.1 200")
        assert time.monotonic() - since < 5
    finally:
        for connection in slow:
            connection.close()


# Settings.

VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=150, deadline=None)
@given(environ=st.dictionaries(st.sampled_from(sorted(VARIABLES)), VALUES, max_size=8))
@example(environ={"CHANGEOVER_CODE_KEYS": "{"})
@example(environ={"CHANGEOVER_CODE_KEYS": '{"k": {"k": "' + "x" * 40 + '"}}'})
@example(environ={"CHANGEOVER_SMTP_PORT": "9" * 5000})
@example(environ={"CHANGEOVER_TIME_ZONE": "../../etc/passwd"})
@example(environ={"CHANGEOVER_PROOF_KEYS_OLD": "[" * 3000})
def test_whatever_is_set_is_taken_or_each_mistake_is_named(environ: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in (*VARIABLES, "TEMPORAL_ADDRESS", "CHANGEOVER_SECRETS_DIR"):
            patch.delenv(name, raising=False)
        patch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
        for name, value in environ.items():
            patch.setenv(name, value)
        told: list[str] = []
        try:
            load(WorkerSettings)
        except ValidationError as wrong:
            told = mistakes(wrong)
        except SettingsUnreadable as wrong:
            told = [str(wrong)]
    assert told, "the required settings are never all there"
    for mistake in told:
        assert any(name in mistake for name in VARIABLES) or "CHANGEOVER_:" in mistake, mistake
        for name in ("CHANGEOVER_PROOF_KEY", "CHANGEOVER_CODE_KEYS", "CHANGEOVER_SMTP_PASSWORD"):
            secret = environ.get(name, "")
            assert len(secret) < 12 or secret not in mistake
