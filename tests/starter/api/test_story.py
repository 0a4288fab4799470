"""Whole stories by HTTP over the real system; the API is restarted and the worker frozen in between."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running import running_up, wait_until
from tests.starter.api.host_panel import Panel

CONFIRM = {"no_refund": True, "destroys": []}


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Panel]:
    with running_up(tmp_path_factory.mktemp("api") / "system") as up:
        made = Panel(up)
        made.start()
        yield made
        made.stop()


def problem(answer: httpx.Response, code: str) -> dict[str, Any]:
    told: dict[str, Any] = answer.json()
    assert told["type"] == f"/problems/{code}", told
    return told


def test_a_whole_change_from_mark_to_receipts(panel: Panel) -> None:
    who = "alice"
    before = panel.service(who)
    doomed = before["servers"][2]["id"]
    mark = f"/v1/services/{before['id']}/servers/{doomed}/deletion-mark"
    assert panel.call(who, "PUT", mark).status_code == 204
    path, body = panel.confirmation(who, slots=24, server_count=2)
    problem(panel.call(who, "POST", path, key="stale", body=body | {"digest": None}), "quote-stale")
    missing = body | {"acknowledge": CONFIRM}
    told = problem(panel.call(who, "POST", path, key="missing", body=missing), "acknowledgement-missing")
    assert told["destroys"] == [doomed]

    first = panel.patiently(who, "POST", path, key="click", body=body)
    requested = first.json()
    assert (first.status_code, requested["stage"]) == (201, "awaiting_code")
    assert first.headers["location"] == f"/v1/plan-changes/{requested['id']}"
    assert requested["sent_to"] == "a***@e***.com"
    other = body | {"configuration": body["configuration"] | {"slots": 26}}
    problem(panel.call(who, "POST", path, key="click", body=other), "idempotency-key-reused")
    told = problem(panel.call(who, "POST", path, key="second", body=body), "change-in-progress")
    assert told["plan_change_id"] == requested["id"]
    assert [blocker["type"] for blocker in told["blockers"]] == ["/problems/change-in-progress"]

    change = f"/v1/plan-changes/{requested['id']}"
    seen: list[dict[str, str]] = []
    follower = threading.Thread(target=lambda: seen.extend(panel.events(who, requested["id"])))
    follower.start()
    wait_until(lambda: panel.status(who, requested["id"])["code_expires_at"] is not None)
    code = panel.up.code()
    told = problem(panel.call(who, "POST", change + "/code", body={"code": "nonsense"}), "request-invalid")
    assert told["field"] == "code"
    wrong = "BBBB-BBBB"
    told = problem(panel.call(who, "POST", change + "/code", body={"code": wrong}), "code-wrong")
    assert told["tries_left"] == 4
    early = panel.call(who, "POST", change + "/code/resend")
    assert early.headers["retry-after"] == str(problem(early, "resend-too-soon")["retry_after"])
    typed = {"code": code.lower().replace("-", " ")}
    confirmed = panel.patiently(who, "POST", change + "/code", body=typed)
    assert confirmed.status_code == 200
    assert confirmed.json()["new_expires_at"] == requested["new_expires_at"]
    assert panel.patiently(who, "POST", change + "/code", body=typed).status_code == 200
    problem(panel.call(who, "PUT", mark), "change-closed")

    follower.join(60)
    assert not follower.is_alive()
    story = panel.status(who, requested["id"])
    assert (story["stage"], story["outcome"]) == ("completed", "completed")
    assert {receipt["server_id"] for receipt in story["receipts"]} == {doomed}
    timeline = [entry for entry in story["timeline"] if entry["event"] != "outcome_mailed"]
    assert [json.loads(event["data"]) for event in seen][: len(timeline)] == timeline
    assert [event["id"] for event in seen] == sorted((event["id"] for event in seen), key=int)
    assert code not in json.dumps([story, seen])
    assert "alice@" not in json.dumps([story, seen])

    middle = seen[2]["id"]
    assert panel.events(who, requested["id"], after=middle)[: len(seen) - 3] == seen[3:]
    last = {"Last-Event-ID": str(story["timeline"][-1]["seq"] + 1)}
    done = httpx.get(f"{panel.url}{change}/events", headers=panel.headers(who) | last)
    assert done.status_code == 204
    problem(panel.call(who, "POST", change + "/cancel"), "change-closed")

    panel.restart()
    assert panel.call(who, "POST", path, key="click", body=body).content == first.content
    history = panel.call(who, "GET", path).json()
    assert requested["id"] in {entry["id"] for entry in history}
    told = problem(panel.call(who, "POST", path, key="next", body=body), "nothing-changes")
    assert [it["type"] for it in told["blockers"]] == [
        "/problems/nothing-changes",
        "/problems/change-too-soon",
    ]


def test_refusals_are_answered_the_same_after_a_restart(panel: Panel) -> None:
    who = "chloe"
    path, body = panel.confirmation(who, slots=24)
    assert body["digest"] is None
    refused = panel.patiently(who, "POST", path, key="r", body=body)
    problem(refused, "change-too-soon")
    who_else, (stale_path, stale_body) = "hugo", panel.confirmation("hugo", server_count=2)
    stale_body["digest"] = "0" * 64
    stale = panel.patiently(who_else, "POST", stale_path, key="r", body=stale_body)
    quote = problem(stale, "quote-stale")["quote"]
    assert quote["as_of"].endswith("Z")
    panel.restart()
    assert panel.call(who, "POST", path, key="r", body=body).content == refused.content
    assert panel.call(who_else, "POST", stale_path, key="r", body=stale_body).content == stale.content


def test_too_many_wrong_codes_lock_the_code_and_cancelling_is_done_once(panel: Panel) -> None:
    who = "david"
    path, body = panel.confirmation(who, slots=22)
    change_id = panel.patiently(who, "POST", path, key="k", body=body).json()["id"]
    change = f"/v1/plan-changes/{change_id}"
    wait_until(lambda: panel.status(who, change_id)["code_expires_at"] is not None)
    for letters, left in zip("BCDFG", (4, 3, 2, 1, 0), strict=True):
        told = problem(panel.call(who, "POST", change + "/code", body={"code": letters * 8}), "code-wrong")
        assert told["tries_left"] == left
    problem(panel.call(who, "POST", change + "/code", body={"code": "HHHHHHHH"}), "code-locked")
    cancelled, again = [panel.call(who, "POST", change + "/cancel") for _ in range(2)]
    assert cancelled.status_code == again.status_code == 200
    assert cancelled.json() == again.json()
    assert cancelled.json()["reason"] == "cancelled"
    problem(panel.call(who, "POST", change + "/code", body={"code": "HHHHHHHH"}), "change-closed")
    problem(panel.call(who, "POST", change + "/code/resend"), "change-closed")


def test_with_the_worker_frozen_the_same_key_gives_the_same_change_later(panel: Panel) -> None:
    who = "emma"
    path, body = panel.confirmation(who, slots=24)
    (worker,) = [pid for pid, line in panel.up.processes().items() if line.endswith("-m worker")]
    os.kill(worker, signal.SIGSTOP)
    try:
        away = panel.call(who, "POST", path, key="once", body=body)
        assert problem(away, "engine-unavailable")["retry_after"] == int(away.headers["retry-after"])
        service = panel.service(who)
        for looking in ("/v1/services", f"/v1/services/{service['id']}/offers", path):
            assert panel.call(who, "GET", looking).status_code == 200
        assert panel.confirmation(who, slots=26)[1]["digest"]
        server = f"/v1/services/{service['id']}/servers/{service['servers'][0]['id']}/deletion-mark"
        renewal = panel.call(
            "bruno",
            "POST",
            f"/v1/services/{panel.service('bruno')['id']}/renewals",
            key="r",
            body={"days": 30},
        )
        assert renewal.status_code == 201
        assert panel.call(who, "DELETE", server).status_code == 204
    finally:
        os.kill(worker, signal.SIGCONT)
    answer = panel.patiently(who, "POST", path, key="once", body=body)
    assert answer.status_code == 201
    again = panel.call(who, "POST", path, key="once", body=body)
    assert again.content == answer.content
    history = panel.call(who, "GET", path).json()
    assert [entry["id"] for entry in history] == [answer.json()["id"]]
    change = f"/v1/plan-changes/{answer.json()['id']}"
    wait_until(lambda: panel.status(who, answer.json()["id"])["code_expires_at"] is not None)
    os.kill(worker, signal.SIGSTOP)
    try:
        assert panel.call(who, "POST", path, key="once", body=body).content == answer.content
        problem(panel.call(who, "POST", change + "/code", body={"code": "BBBBBBBB"}), "engine-unavailable")
        problem(panel.call(who, "POST", change + "/code/resend"), "engine-unavailable")
        problem(panel.call(who, "POST", change + "/cancel"), "engine-unavailable")
        assert panel.status(who, answer.json()["id"])["stage"] == "awaiting_code"
    finally:
        os.kill(worker, signal.SIGCONT)
    assert panel.patiently(who, "POST", change + "/cancel").status_code == 200


def test_schemathesis_finds_nothing(panel: Panel, tmp_path: Path) -> None:
    """Statuses that the design gives to refusals of well-formed requests count as accepted."""
    config = tmp_path / "schemathesis.toml"
    config.write_text(
        "[checks.positive_data_acceptance]\n"
        'expected-statuses = ["2xx", "401", "404", "409", "410", "422", "429"]\n'
    )
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run"]
    command += [f"{panel.url}/openapi.json", "--generation-deterministic", "--no-color", "--warnings=off"]
    command += ["--max-examples", os.environ.get("SCHEMATHESIS_EXAMPLES", "3"), "--workers", "2"]
    command += ["--phases", os.environ.get("SCHEMATHESIS_PHASES", "examples,fuzzing")]
    for name, value in panel.headers("farid").items():
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=250)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
