"""What machines around the API look at: probes, figures, headers; and the process itself."""

import signal
import subprocess
import sys

from sqlalchemy import text

from changeover.settings import Settings
from starter.api.app import create_app
from tests.e2e.running import clean_environment
from tests.starter.api.conftest import Api, api_process
from tests.starter.conftest import SeededSystem


async def test_it_is_ready_with_its_database_and_without_temporal(api: Api) -> None:
    assert (await api.client.get("/livez")).json() == {"live": True}
    answer = await api.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "database": "ok", "schema": "ok", "temporal": "away"}


async def test_it_is_not_ready_with_another_releases_database(api: Api) -> None:
    api.seeded.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    answer = await api.client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert answer.json()["schema"].startswith("0001, not ")


async def test_a_database_that_is_away_is_told_and_no_defect(api: Api) -> None:
    api.seeded.execute(text("DROP TABLE api_keys"))
    answer = await api.call("GET", "/v1/services", who="alice")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/engine-unavailable")
    assert answer.headers["retry-after"] == "5"


async def test_figures_are_by_route_and_status_and_name_nobody(api: Api) -> None:
    service = await api.service()
    await api.call("GET", f"/v1/services/{service['id']}")
    await api.call("GET", "/v1/nowhere")
    figures = (await api.client.get("/metrics")).text
    counted = 'changeover_api_requests_total{method="GET",route="/v1/services/{service_id}",status="200"} 1.0'
    assert counted in figures
    assert 'route="other",status="404"' in figures
    assert "changeover_api_request_seconds_bucket" in figures
    assert service["id"] not in figures
    assert api.account_id("alice") not in figures


async def test_every_answer_is_kept_out_of_caches_and_frames(api: Api) -> None:
    for path in ("/v1/services", "/livez", "/openapi.json", "/nowhere"):
        headers = (await api.client.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


async def test_a_panel_is_mounted_beside_and_keeps_its_own_headers(api: Api) -> None:
    async def panel(scope: object, receive: object, send: object) -> None:
        headers = [(b"cache-control", b"private"), (b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"hello"})  # type: ignore[operator]

    app = create_app(api.app.state.plans, Settings(), panel=panel)
    api.client._transport = type(api.client._transport)(app)  # type: ignore[call-arg]
    answer = await api.client.get("/panel/enter")
    assert (answer.text, answer.headers["cache-control"]) == ("hello", "private")
    assert (await api.call("GET", "/v1/services")).status_code == 200


def test_the_process_says_where_it_is_and_ends_cleanly(seeded: SeededSystem) -> None:
    with api_process(seeded.environ) as (url, process):
        assert url.startswith("http://127.0.0.1:")
        taken = url.rpartition(":")[2]
        second = subprocess.run(
            [sys.executable, "-m", "starter.api", "--port", taken],
            env=clean_environment() | dict(seeded.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 5
        assert second.stderr.startswith("the API can't start: 127.0.0.1 port")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_keys_are_made_listed_and_revoked_by_the_command_line(seeded: SeededSystem) -> None:
    made = seeded.run("keys", "create", "our panel", "--json")
    assert '"key": "chk_' in made.output
    key_id = made.output.split('"id": "')[1].split('"')[0]
    listed = seeded.run("keys", "list", "--json").output
    assert key_id in listed
    assert "chk_" not in listed
    assert seeded.run("keys", "revoke", key_id).exit_code == 0
    assert "revoked" in seeded.run("keys", "list").output
    assert seeded.run("keys", "revoke", "nobody").exit_code == 3
    assert seeded.run("keys", "create", "").exit_code == 2
    assert seeded.run("keys", "create", "second").output.startswith("chk_")
