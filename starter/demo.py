"""One real plan change from quote to receipts, on real servers, as `./run demo` shows it.

Everything goes through the public interface, and the code is read from the mail that was caught. Each claim
is checked as it is shown: a demo that shows something untrue ends with an error.
"""

import asyncio
import email
import email.policy
import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from changeover.domain import problems
from changeover.domain.catalogue import Configuration
from changeover.domain.confirmation import ALPHABET
from changeover.domain.quote import Quote
from starter.embedded.system import EmbeddedSystem
from starter.plan_changes import PlanChanges
from starter.views import Acknowledgement, ChangeView, ServiceView

_CODE = re.compile(rf"\b[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}\b")
_PATIENCE_SECONDS = 60

Tell = Callable[[str, str, dict[str, Any]], None]
"""Shows a step: its name, a sentence, and its figures."""


class DemoFailed(Exception):
    """What was shown is not what should be."""


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise DemoFailed(what)


class Demo:
    """The story, told step by step through `tell`."""

    def __init__(self, system: EmbeddedSystem, plans: PlanChanges, account_id: str, tell: Tell) -> None:
        self._system = system
        self._plans = plans
        self._account = account_id
        self._tell = tell

    async def run(self) -> None:
        """Tell the whole story. Raises `DemoFailed`, and whatever problem is met."""
        before = (await self._plans.services(self._account))[0]
        self._show_service(before)
        doomed = before.servers[-1]
        await self._plans.mark(self._account, before.id, doomed.id)
        self._tell("marked", f"{doomed.name} is marked for deletion; nothing is destroyed yet", {})
        wanted = Configuration.of(before.configuration.offer, 24, (), len(before.servers) - 1)
        quote = await self._plans.quote(self._account, before.id, wanted)
        self._show_quote(quote)
        requested = await self._request(before, wanted, quote)
        code = await self._code()
        await self._confirm(requested, code, quote)
        change = await self._follow(requested)
        self._show_receipts(change, doomed.id)
        await self._show_end(before, quote, doomed.id)

    def _show_service(self, service: ServiceView) -> None:
        files = sum(self._count(server.id)[0] for server in service.servers)
        size = sum(self._count(server.id)[1] for server in service.servers)
        expect(files > 0, "the servers have files on disk")
        self._tell(
            "service",
            f"«{service.name}»: {len(service.servers)} servers of {service.configuration.slots} slots, "
            f"{_money(service.rate)} per 30 days, expires {_date(service.expires_at)} "
            f"({service.days_left} days left); {files} files on disk, {size:,} bytes",
            {
                "service_id": service.id,
                "rate": service.rate,
                "expires_at": service.expires_at,
                "days_left": service.days_left,
                "servers": [server.name for server in service.servers],
                "files": files,
                "bytes": size,
            },
        )

    def _show_quote(self, quote: Quote) -> None:
        expect(not quote.blockers, f"the quote is not blocked: {quote.blockers}")
        assert quote.new_expires_at is not None, "not blocked"
        assert quote.rate_after is not None
        self._tell(
            "quote",
            f"{quote.after.server_count} servers of {quote.after.slots} slots: "
            f"{_money(quote.rate_before)} -> {_money(quote.rate_after)}; "
            f"{quote.days_before} -> {quote.days_after} days, "
            f"new expiry {_date(quote.new_expires_at)}; destroys "
            + ", ".join(f"{it.name} ({it.address}, {it.backups} backups)" for it in quote.destroys),
            {
                "rate_before": quote.rate_before,
                "rate_after": quote.rate_after,
                "days_before": quote.days_before,
                "days_after": quote.days_after,
                "new_expires_at": quote.new_expires_at,
                "digest": quote.digest,
            },
        )

    async def _request(self, service: ServiceView, wanted: Configuration, quote: Quote) -> str:
        assert quote.digest is not None, "not blocked"
        acknowledge = Acknowledgement(no_refund=True, destroys=tuple(server.id for server in quote.destroys))
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                requested = await self._plans.request(
                    self._account,
                    service.id,
                    wanted,
                    digest=quote.digest,
                    acknowledge=acknowledge,
                    idempotency_key="the-demo",
                )
                break
            except problems.EngineUnavailable:  # the worker is still starting: the same key is sent again
                expect(time.monotonic() < give_up_at, "the worker answers within a minute")
        self._tell(
            "requested",
            f"accepted; a code goes to {requested.sent_to}; to be confirmed until "
            f"{_date(requested.window_ends_at)}",
            {"plan_change_id": requested.id, "sent_to": requested.sent_to, "as_of": requested.as_of},
        )
        return requested.id

    async def _code(self) -> str:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            mails = sorted(self._system.mail_dir.glob("*.eml"))
            if mails:
                break
            expect(time.monotonic() < give_up_at, "the code arrives within a minute")
            await asyncio.sleep(0.05)
        message = email.message_from_bytes(mails[0].read_bytes(), policy=email.policy.default)
        body = message.get_body(("plain",))
        found = _CODE.search(body.get_content()) if body is not None else None
        expect(found is not None, "the mail holds a code")
        assert found is not None
        self._tell("mail", f"caught «{message['subject']}» with the code {found[0]}", {"mail": mails[0].name})
        return found[0]

    async def _confirm(self, change_id: str, code: str, quote: Quote) -> None:
        await self._wait_for_hand_over(change_id)
        wrong = code[:-1] + ALPHABET[(ALPHABET.index(code[-1]) + 1) % len(ALPHABET)]
        try:
            await self._plans.submit_code(self._account, change_id, wrong)
            raise DemoFailed("a wrong code was accepted")
        except problems.CodeWrong as refusal:
            self._tell("wrong code", f"{wrong} is refused, {refusal.tries_left} tries left", refusal.figures)
        committed = await self._plans.submit_code(self._account, change_id, code.lower().replace("-", " "))
        expect(committed.committed_at is not None, "the right code commits the change")
        assert committed.new_expires_at is not None
        self._tell(
            "confirmed",
            f"{code} is right: committed, new expiry {_date(committed.new_expires_at)}",
            {"stage": committed.stage, "new_expires_at": committed.new_expires_at},
        )

    async def _wait_for_hand_over(self, change_id: str) -> None:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while (await self._plans.status(self._account, change_id)).code_expires_at is None:
            expect(time.monotonic() < give_up_at, "the hand-over of the mail is recorded within a minute")
            await asyncio.sleep(0.05)

    async def _follow(self, change_id: str) -> ChangeView:
        async for entry in self._plans.watch(self._account, change_id):
            about = entry.data.get("server") or entry.data.get("reason") or ""
            self._tell(
                "timeline",
                f"{entry.at:%H:%M:%S.%f}"[:12] + f" {entry.event} {about}".rstrip(),
                {
                    "seq": entry.seq,
                    "event": entry.event,
                    "stage": entry.stage,
                    "at": entry.at,
                },
            )
        change = await self._plans.status(self._account, change_id)
        expect(change.stage == "completed", f"the change is completed, not {change.stage}")
        return change

    def _show_receipts(self, change: ChangeView, doomed: str) -> None:
        steps = {receipt.step: dict(receipt.evidence) for receipt in change.receipts}
        expect(len(steps) == 6, f"every step of the teardown has its receipt: {sorted(steps)}")
        for receipt in change.receipts:
            evidence = json.dumps(receipt.evidence, ensure_ascii=False)
            self._tell(
                "receipt",
                f"{receipt.step}: {evidence}",
                {
                    "server_id": receipt.server_id,
                    "teardown_step": receipt.step,
                    "evidence": dict(receipt.evidence),
                },
            )
        expect(not (self._system.host_dir / doomed).exists(), "the destroyed server's folder is gone")

    async def _show_end(self, before: ServiceView, quote: Quote, doomed: str) -> None:
        after = await self._plans.service(self._account, before.id)
        kept = [server.id for server in before.servers if server.id != doomed]
        expect([server.id for server in after.servers] == kept, "the other servers are kept")
        expect(all(self._count(server)[0] > 0 for server in kept), "the kept servers have their files")
        expect(after.configuration == quote.after, "the configuration is the one confirmed")
        expect(after.expires_at > before.expires_at, "the expiry is later")
        self._tell(
            "after",
            f"«{after.name}»: {len(after.servers)} servers of {after.configuration.slots} slots, expires "
            f"{_date(after.expires_at)} ({after.days_left} days left); "
            f"{sum(self._count(server)[0] for server in kept)} files on disk",
            {"expires_at": after.expires_at, "days_left": after.days_left},
        )

    def _count(self, server_id: str) -> tuple[int, int]:
        """Return how many files the host really has for a server, and their bytes."""
        folder: Path = self._system.host_dir / server_id
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != "server.json"]
        return len(files), sum(path.stat().st_size for path in files)


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
