"""One real plan change from quote to receipts, on real servers, as `./run demo` shows it.

Everything goes through the REST API, as a host's own panel would call it, and the code is read from the mail
that was caught. Each claim is checked as it is shown: a demo that shows something untrue ends with an error.
"""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from changeover.domain.confirmation import ALPHABET
from starter.embedded.caught_mail import read_code

_PATIENCE_SECONDS = 60

Json = dict[str, Any]
Tell = Callable[[str, str, Json], None]
"""Shows a step: its name, a sentence, and its figures."""


class DemoFailed(Exception):
    """What was shown is not what should be."""


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise DemoFailed(what)


class Demo:
    """The story, told step by step through `tell`; `api` speaks for the customer to the REST API."""

    def __init__(self, api: httpx.AsyncClient, mail_dir: Path, host_dir: Path, tell: Tell) -> None:
        self._api = api
        self._mail_dir = mail_dir
        self._host_dir = host_dir
        self._tell = tell

    async def run(self) -> None:
        """Tell the whole story. Raises `DemoFailed`."""
        before = (await self._call("GET", "/v1/services"))[0]
        self._show_service(before)
        doomed = before["servers"][-1]
        await self._call("PUT", f"/v1/services/{before['id']}/servers/{doomed['id']}/deletion-mark")
        self._tell("marked", f"{doomed['name']} is marked for deletion; nothing is destroyed yet", {})
        wanted = before["configuration"] | {"slots": 24, "server_count": len(before["servers"]) - 1}
        quote = await self._call("POST", f"/v1/services/{before['id']}/quotes", {"configuration": wanted})
        self._show_quote(quote, wanted)
        change_id = await self._request(before, wanted, quote)
        await self._confirm(change_id, await self._code())
        change = await self._follow(change_id)
        self._show_receipts(change, doomed["id"])
        await self._show_end(before, wanted, doomed["id"])

    async def _call(self, method: str, path: str, body: Json | None = None, **headers: str) -> Any:
        """Call the API. While it says `engine-unavailable`, the very same is sent again."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            answer = await self._api.request(method, path, json=body, headers=headers)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            expect(time.monotonic() < give_up_at, "the engine answers within a minute")
            await asyncio.sleep(0.5)
        expect(answer.is_success, f"{method} {path} succeeds: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def _show_service(self, service: Json) -> None:
        counts = [self._count(server["id"]) for server in service["servers"]]
        files, size = sum(count[0] for count in counts), sum(count[1] for count in counts)
        expect(files > 0, "the servers have files on disk")
        self._tell(
            "service",
            f"«{service['name']}»: {len(counts)} servers of {service['configuration']['slots']} slots, "
            f"{_money(service['rate'])} per 30 days, expires {service['expires_at']} "
            f"({service['days_left']} days left); {files} files on disk, {size:,} bytes",
            service | {"files": files, "bytes": size},
        )

    def _show_quote(self, quote: Json, wanted: Json) -> None:
        expect(quote["blockers"] == [], f"the quote is not blocked: {quote['blockers']}")
        destroys = ", ".join(
            f"{it['name']} ({it['address']}, {it['backups']} backups)" for it in quote["destroys"]
        )
        self._tell(
            "quote",
            f"{wanted['server_count']} servers of {wanted['slots']} slots: "
            f"{_money(quote['rate_before'])} -> {_money(quote['rate_after'])}; "
            f"{quote['days_before']} -> {quote['days_after']} days, new expiry {quote['new_expires_at']}; "
            f"destroys {destroys}",
            quote,
        )

    async def _request(self, service: Json, wanted: Json, quote: Json) -> str:
        acknowledge = {"no_refund": True, "destroys": [server["id"] for server in quote["destroys"]]}
        body = {"configuration": wanted, "digest": quote["digest"], "acknowledge": acknowledge}
        path = f"/v1/services/{service['id']}/plan-changes"
        requested = await self._call("POST", path, body, **{"Idempotency-Key": "the-demo"})
        self._tell(
            "requested",
            f"accepted; a code goes to {requested['sent_to']}; to be confirmed until "
            f"{requested['window_ends_at']}",
            requested,
        )
        return str(requested["id"])

    async def _code(self) -> str:
        await self._until(lambda: any(self._mail_dir.glob("*.eml")), "the code arrives within a minute")
        mail = min(self._mail_dir.glob("*.eml"))
        subject, code = read_code(mail)
        if code is None:
            raise DemoFailed("the mail holds a code")
        self._tell("mail", f"caught «{subject}» with the code {code}", {"mail": mail.name})
        return code

    async def _confirm(self, change_id: str, code: str) -> None:
        path = f"/v1/plan-changes/{change_id}"
        while (await self._call("GET", path))["code_expires_at"] is None:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)  # the mail is here, its hand-over is being recorded
        wrong = code[:-1] + ALPHABET[(ALPHABET.index(code[-1]) + 1) % len(ALPHABET)]
        refused = await self._api.post(f"{path}/code", json={"code": wrong})
        problem = refused.json()
        expect(problem["type"].endswith("code-wrong"), f"a wrong code is refused: {refused.text}")
        self._tell("wrong code", f"{wrong} is refused, {problem['tries_left']} tries left", problem)
        typed = code.lower().replace("-", " ")
        committed = await self._call("POST", f"{path}/code", {"code": typed})
        self._tell(
            "confirmed", f"{code} is right: committed, new expiry {committed['new_expires_at']}", committed
        )

    async def _follow(self, change_id: str) -> Json:
        """Show the timeline as the server sends it."""
        path = f"/v1/plan-changes/{change_id}"
        async with self._api.stream("GET", f"{path}/events", timeout=_PATIENCE_SECONDS) as events:
            async for line in events.aiter_lines():
                if line.startswith("data:"):
                    self._show_entry(json.loads(line.removeprefix("data:")))
        change: Json = await self._call("GET", path)
        expect(change["stage"] == "completed", f"the change is completed, not {change['stage']}")
        return change

    def _show_entry(self, entry: Json) -> None:
        about = entry["data"].get("server") or ""
        self._tell("timeline", f"{entry['at'][11:23]} {entry['event']} {about}".rstrip(), entry)

    def _show_receipts(self, change: Json, doomed: str) -> None:
        receipts = change["receipts"]
        expect(len(receipts) == 6, f"each of the six steps of the teardown has its receipt: {receipts}")
        for receipt in receipts:
            evidence = json.dumps(receipt["evidence"], ensure_ascii=False)
            figures = {"teardown_step": receipt["step"], "evidence": receipt["evidence"]}
            self._tell("receipt", f"{receipt['step']}: {evidence}", figures)
        expect(not (self._host_dir / doomed).exists(), "the destroyed server's folder is gone")

    async def _show_end(self, before: Json, wanted: Json, doomed: str) -> None:
        after = await self._call("GET", f"/v1/services/{before['id']}")
        kept = [server["id"] for server in before["servers"] if server["id"] != doomed]
        expect([server["id"] for server in after["servers"]] == kept, "the other servers are kept")
        expect(all(self._count(server)[0] > 0 for server in kept), "the kept servers have their files")
        expect(after["configuration"] == wanted, "the configuration is the one confirmed")
        expect(after["expires_at"] > before["expires_at"], "the expiry is later")
        files = sum(self._count(server)[0] for server in kept)
        self._tell(
            "after",
            f"«{after['name']}»: {len(kept)} servers of {wanted['slots']} slots, expires "
            f"{after['expires_at']} ({after['days_left']} days left); {files} files on disk",
            after | {"files": files},
        )

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not holds():
            expect(time.monotonic() < give_up_at, what)
            await asyncio.sleep(0.05)

    def _count(self, server_id: str) -> tuple[int, int]:
        """Return how many files the host really has for a server, and their bytes."""
        folder = self._host_dir / server_id
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != "server.json"]
        return len(files), sum(path.stat().st_size for path in files)


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
