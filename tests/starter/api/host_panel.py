"""The host's own panel as a client of the API, beside a running system."""

from typing import Any

import httpx

from starter.seed import account_id
from tests.e2e.running import Up
from tests.starter.api.conftest import api_process, new_key


class Panel:
    """The host's panel: it may lose the API process and start another."""

    def __init__(self, up: Up) -> None:
        self.up = up
        self.key = new_key(up.settings()["CHANGEOVER_DATABASE_URL"])
        self._stack: Any = None
        self.url = ""

    def start(self) -> None:
        self._stack = api_process(self.up.settings(), CHANGEOVER_ENGINE_TIMEOUT_SECONDS="2")
        self.url, _ = self._stack.__enter__()

    def stop(self) -> None:
        self._stack.__exit__(None, None, None)

    def restart(self) -> None:
        self.stop()
        self.start()

    def headers(self, who: str, key: str | None = None) -> dict[str, str]:
        keyed = {} if key is None else {"Idempotency-Key": key}
        return {"Authorization": f"Bearer {self.key}", "X-Account-Id": account_id(who)} | keyed

    def call(
        self, who: str, method: str, path: str, *, key: str | None = None, body: object = None
    ) -> httpx.Response:
        headers = self.headers(who, key)
        return httpx.request(method, self.url + path, headers=headers, json=body, timeout=60)

    def patiently(
        self, who: str, method: str, path: str, *, key: str | None = None, body: object = None
    ) -> httpx.Response:
        """Send the very same again while the engine is away."""
        answers = [self.call(who, method, path, key=key, body=body)]
        while answers[-1].status_code == 503 and len(answers) < 20:
            answers.append(self.call(who, method, path, key=key, body=body))
        return answers[-1]

    def service(self, who: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call(who, "GET", "/v1/services").json()[0]
        return found

    def confirmation(self, who: str, **wanted: Any) -> tuple[str, dict[str, Any]]:
        """Quote, and return path and body of the confirm."""
        service = self.service(who)
        configuration = service["configuration"] | wanted
        base = f"/v1/services/{service['id']}"
        quote = self.call(who, "POST", base + "/quotes", body={"configuration": configuration}).json()
        acknowledge = {"no_refund": True, "destroys": [server["id"] for server in quote["destroys"]]}
        body = {"configuration": configuration, "digest": quote["digest"], "acknowledge": acknowledge}
        return base + "/plan-changes", body

    def status(self, who: str, change_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call(who, "GET", f"/v1/plan-changes/{change_id}").json()
        return found

    def events(self, who: str, change_id: str, after: str = "") -> list[dict[str, str]]:
        """Read the stream to its end."""
        headers = self.headers(who) | ({"Last-Event-ID": after} if after else {})
        found: list[dict[str, str]] = [{}]
        url = f"{self.url}/v1/plan-changes/{change_id}/events"
        with httpx.stream("GET", url, headers=headers, timeout=60) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream") or after
            for line in stream.iter_lines():
                name, _, value = line.partition(": ")
                if not line:
                    found.append({})
                elif name:
                    found[-1][name] = value
        return [event for event in found if event]
