"""What a machine is told about the real system, after a real change went through it."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from changeover.telemetry.sdk import SdkTelemetry
from changeover.telemetry.tracing import KEPT
from starter.seed import account_id
from tests.e2e.running import Up, running_up, wait_until
from tests.support.promql import expressions, metrics_in, series_in
from tests.support.traces import Receiver, receiving


class Caller:
    """The host's panel: it calls the API for alice."""

    def __init__(self, up: Up) -> None:
        headers = {"Authorization": f"Bearer {where(up, 'api_key')}", "X-Account-Id": account_id("alice")}
        self._client = httpx.Client(base_url=where(up, "api_url"), headers=headers, timeout=60)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        answer = self._client.request(method, path, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def request(self) -> str:
        """Ask for more slots, with what is marked given up; return the change's id."""
        service = self.call("GET", "/v1/services")[0]
        base = f"/v1/services/{service['id']}"
        kept = len([server for server in service["servers"] if server["state"] == "active"])
        configuration = service["configuration"] | {"slots": 24, "server_count": kept}
        quote = self.call("POST", f"{base}/quotes", {"configuration": configuration})
        acknowledge = {"no_refund": True, "destroys": [server["id"] for server in quote["destroys"]]}
        body = {"configuration": configuration, "digest": quote["digest"], "acknowledge": acknowledge}
        made = self.call("POST", f"{base}/plan-changes", body, **{"Idempotency-Key": "telemetry"})
        return str(made["id"])

    def link(self) -> str:
        """Have a link to the panel made, follow it, and return its secret."""
        url = str(self.call("POST", "/v1/panel-links")["url"])
        assert httpx.get(url).status_code < 400
        return url.partition("token=")[2]


@pytest.fixture(scope="module")
def traces() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, traces: Receiver) -> Iterator[Up]:
    """A system through which one change went: a wrong code, the right one, one server destroyed."""
    folder = tmp_path_factory.mktemp("telemetry") / "system"
    environ = {
        "CHANGEOVER_LOG_FORMAT": "json",
        "CHANGEOVER_TRACING": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with running_up(folder, environ) as system:
        system.run("mark", "server-3")
        change_id = Caller(system).request()
        assert system.run("code", "BBBB-BBBB").returncode == 1
        system.patiently("code", system.code())
        assert system.run("watch", change_id).returncode == 0
        yield system


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def where(up: Up, name: str) -> str:
    up_file: dict[str, Any] = json.loads((up.folder / "up.json").read_text())
    return str(up_file[name])


def test_worker_and_api_say_in_one_shape_that_they_are_ready(up: Up) -> None:
    parts = {"ready": True, "database": "ok", "schema": "ok", "temporal": "ok"}
    status, text = get(where(up, "worker_url") + "/readyz")
    assert (status, json.loads(text)) == (200, parts | {"workers": "ok"})
    status, text = get(where(up, "api_url") + "/readyz")
    assert (status, json.loads(text)) == (200, parts)


def test_what_happened_is_counted(up: Up) -> None:
    figures = get(where(up, "worker_url") + "/metrics")[1]
    for line in (
        'changeover_changes_total{outcome="completed",reason=""} 1.0',
        'changeover_codes_total{result="wrong"} 1.0',
        'changeover_teardown_step_seconds_count{step="release_address"} 1.0',
        'changeover_activity_failures_total{activity="tear_down",type="HostRefused"} 1.0',
        'changeover_activity_failures_total{activity="tear_down",type="Unauthorised"} 0.0',
        'changeover_activity_failures_total{activity="send_code",type="Defect"} 0.0',
    ):
        assert line in figures
    assert "temporal_workflow_completed_total" in figures
    state = get(where(up, "api_url") + "/metrics")[1]
    assert 'changeover_open_changes{stage="needs_attention"} 1.0' in state
    assert "changeover_api_errors_total 0.0" in state


def test_neither_logs_nor_figures_know_a_code_or_an_address(up: Up) -> None:
    told = {name: get(where(up, name) + "/metrics")[1] for name in ("worker_url", "api_url")}
    told |= {file.name: file.read_text() for file in (up.folder / "log").glob("*.log")}
    codes = up.codes()
    assert codes
    assert "worker.log" in told
    for name, text in told.items():
        for code in codes:
            assert code not in text, name
            assert code.replace("-", "") not in text, name
        assert "@example.com" not in text, name


def test_every_line_of_a_worker_s_log_is_an_object_with_what_it_is_about(up: Up) -> None:
    lines = [json.loads(line) for line in (up.folder / "log" / "worker.log").read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    (refused,) = [line for line in lines if line["message"].startswith("Completing activity as failed")]
    assert (refused["activity"], refused["attempt"]) == ("tear_down", 1)
    assert refused["workflow_id"].startswith("teardown/")
    assert refused["run_id"]


@workflow.defn(sandboxed=False)
class Broken:
    """A workflow with a defect: its tasks fail for ever."""

    @workflow.run
    async def run(self) -> None:
        raise RuntimeError("a defect")


async def figures_of_a_failed_workflow_task(up: Up) -> str:
    """Return what the SDK says of a defect, which the system itself doesn't have."""
    sdk = SdkTelemetry(figures=True)
    client = await Client.connect(up.settings()["TEMPORAL_ADDRESS"], runtime=sdk.runtime)
    async with Worker(client, task_queue="broken", workflows=[Broken]):
        handle = await client.start_workflow(Broken.run, id="broken", task_queue="broken")
        for _ in range(300):
            text = (await sdk.text()).decode()
            if "temporal_workflow_task_execution_failed_total" in text:
                break
            await asyncio.sleep(0.1)
        await handle.terminate()
    return text


async def test_dashboard_and_alerts_name_only_what_is_there(up: Up) -> None:
    scrape = await figures_of_a_failed_workflow_task(up)
    for name in ("worker_url", "api_url"):
        scrape += (await asyncio.to_thread(get, where(up, name) + "/metrics"))[1]
    there = series_in(scrape)
    for place, expression in expressions().items():
        for metric, labels in metrics_in(expression).items():
            assert metric in there, f"{place}: nobody exports {metric}"
            known = there[metric]
            assert not known or labels <= known, f"{place}: {metric} has no label {labels - known}"


def test_one_trace_goes_from_the_api_through_the_workflow_to_the_activities(up: Up, traces: Receiver) -> None:
    wanted = {
        "POST /v1/services/{service_id}/plan-changes": "changeover-api",
        "StartActivity:open_change": "changeover-worker",
        "RunActivity:send_code": "changeover-worker",
        "RunActivity:tear_down": "changeover-worker",
    }

    def of_the_request() -> dict[str, str]:
        spans = traces.spans()
        ids = {span.trace_id for _, span in spans if span.name == next(iter(wanted))}
        return {span.name: service for service, span in spans if span.trace_id in ids}

    wait_until(lambda: wanted.items() <= of_the_request().items(), 30)


def test_no_span_carries_a_secret_or_says_who(up: Up, traces: Receiver) -> None:
    token = Caller(up).link()
    wait_until(lambda: any(span.name.startswith("POST /v1/panel-links") for _, span in traces.spans()), 30)
    time.sleep(0.5)  # the panel's own span, if there is one, is sent by then
    keys = {attribute.key for _, span in traces.spans() for attribute in span.attributes}
    keys |= {it.key for _, span in traces.spans() for event in span.events for it in event.attributes}
    assert keys <= KEPT
    secrets = [token, where(up, "api_key"), "@example.com", account_id("alice"), "127.0.0.1"]
    secrets += [code.replace("-", "") for code in up.codes()] + up.codes()
    for body in traces.bodies:
        for secret in secrets:
            assert secret.encode() not in body


def test_a_request_s_line_has_its_route_and_id_and_no_path(up: Up) -> None:
    lines = [json.loads(line) for line in (up.folder / "log" / "web.log").read_text().splitlines()]
    (asked,) = [line for line in lines if line.get("route") == "/v1/services/{service_id}/plan-changes"]
    assert (asked["method"], asked["status"], len(asked["request_id"])) == ("POST", 201, 32)
    assert asked["seconds"] > 0
