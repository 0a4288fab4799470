"""A panel over a seeded database with the engine away; and, for browsers, a whole system with its panel."""

import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import insert, select
from starlette.applications import Starlette
from starlette.routing import Mount

from changeover.domain.catalogue import Configuration
from changeover.settings import Settings
from changeover.storage.tables import accounts, plan_changes, servers, services, trail
from starter.panel.app import create_panel
from starter.panel.sessions import Sessions
from starter.panel.visit import Parts
from starter.plan_changes import PlanChanges
from tests.starter.conftest import CLOSED_PORT, SeededSystem
from tests.starter.panel.browsing import Browsing, browsing
from tests.starter.panel.reading import action, fields
from tests.starter.panel.system import PanelSystem, chromium, running_panel

HERE = "https://panel.example"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: drives a headless Chromium through a whole running system")


class Visitor:
    """A customer's client, and short ways to what it has."""

    def __init__(self, http: httpx.AsyncClient, plans: PlanChanges, account_id: str, parts: Parts) -> None:
        self.http = http
        self.plans = plans
        self.account_id = account_id
        self.parts = parts

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.http.get(f"/panel{path}", **more)

    async def post(self, path: str, data: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        headers = {"sec-fetch-site": "same-origin"} | more.pop("headers", {})
        return await self.http.post(f"/panel{path}", data=data or {"x": "y"}, headers=headers, **more)

    async def post_form(self, page: httpx.Response, form_class: str, **typed: Any) -> httpx.Response:
        """Post a form of the page to where it says, with what it holds and what is typed."""
        path = action(page.text, form_class).removeprefix("/panel")
        return await self.post(path, fields(page.text, form_class) | typed)

    async def service_id(self) -> str:
        return (await self.plans.services(self.account_id))[0].id

    async def server_ids(self) -> list[str]:
        return [server.id for server in (await self.plans.services(self.account_id))[0].servers]


class Panels:
    """Makes panels and customers over one seeded database."""

    def __init__(self, plans: PlanChanges) -> None:
        self.plans = plans
        self._numbers = itertools.count()

    def client(self, *, demo: bool = True, secure: bool = True) -> tuple[httpx.AsyncClient, Parts]:
        panel = create_panel(self.plans, demo_accounts=demo, secure_cookies=secure)
        app = Starlette(routes=[Mount("/panel", panel)])
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        parts: Parts = panel.state.parts
        return httpx.AsyncClient(transport=transport, base_url=HERE), parts

    async def visitor(self, email: str | None, **how: bool) -> Visitor:
        http, parts = self.client(**how)
        account_id = ""
        if email:
            account_id = (await self.plans.account(email)).id
            token = await Sessions(self.plans.database).open(account_id)
            http.cookies.set(parts.session_cookie, token, domain="panel.example", path="/")
        return Visitor(http, self.plans, account_id, parts)

    async def insert(self, table: Any, **row: Any) -> None:
        await self.plans.database.write(lambda connection: connection.execute(insert(table).values(**row)))

    async def hostile(self) -> str:
        """Add a customer whose service and servers have names that would be scripts."""
        names = [f'"><img src=x onerror=alert({number})>' for number in (1, 2)]
        return await self.newcomer("mallory@example.com", '<script>alert("service")</script>', names, 1)

    async def newcomer(
        self, email: str, service: str, names: Sequence[str], marked: int, *, days: float = 20
    ) -> str:
        """Add a customer with one service; the last of its servers are marked. Return the e-mail address."""
        now = datetime.now(UTC)
        account_id, service_id = str(uuid4()), str(uuid4())
        await self.insert(accounts, id=account_id, email=email, language="en", created_at=now)
        await self.insert(
            services,
            id=service_id,
            account_id=account_id,
            name=service,
            offer_code="cs2-public",
            slots=20,
            options=[],
            server_count=len(names),
            expires_at=now + timedelta(days=days),
            recurring_payment_active=False,
            created_at=now,
        )
        kept = len(names) - marked
        rows = [
            {
                "id": str(uuid4()),
                "service_id": service_id,
                "name": name,
                "address": f"203.0.113.99:{number}",
                "state": "marked" if number > kept else "active",
                "backups": number,
                "created_at": now,
                "marked_at": now if number > kept else None,
            }
            for number, name in enumerate(names, start=1)
        ]
        await self.plans.database.write(lambda connection: connection.execute(insert(servers), rows))
        return email

    async def change(self, email: str, stage: str = "awaiting_code", **more: Any) -> str:
        """Add a change of the customer's service, as activities would have written it."""
        change_id, now = str(uuid4()), datetime.now(UTC).replace(microsecond=0)
        account = await self.plans.account(email)
        service = (await self.plans.services(account.id))[0]
        before = service.configuration
        after = Configuration.of(before.offer, 24, before.options, before.server_count)
        quote = await self.plans.quote(account.id, service.id, after)
        row = {
            "id": change_id,
            "service_id": service.id,
            "account_id": account.id,
            "fingerprint": "f" * 64,
            "stage": stage,
            "before": before.record,
            "after": after.record,
            "terms": quote.terms,
            "destroys": [
                {"id": it.id, "name": it.name, "address": it.address, "backups": it.backups}
                for it in quote.destroys
            ],
            "creates": 0,
            "spends_pass": False,
            "as_of": now,
            "window_ends_at": now + timedelta(hours=1),
            "days_before": 20,
            "days_after": 16,
            "new_expires_at": now + timedelta(days=16),
            "code_number": 1,
            "code_handed_over_at": now,
            "code_expires_at": now + timedelta(minutes=10),
            "wrong_on_code": 0,
            "wrong_on_change": 0,
        }
        await self.insert(plan_changes, **row | more)
        for event in ("requested", "accepted", "code_mailed"):
            await self.insert(
                trail,
                change_id=change_id,
                at=now,
                event=event,
                stage="awaiting_code",
                actor="system",
                data={},
            )
        return change_id

    async def emails(self) -> list[str]:
        async with self.plans.database.read() as connection:
            return list((await connection.execute(select(accounts.c.email))).scalars())


@pytest.fixture
async def panels(seeded: SeededSystem, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Panels]:
    monkeypatch.setenv("TEMPORAL_ADDRESS", CLOSED_PORT)
    monkeypatch.delenv("TEMPORAL_PROFILE", raising=False)
    for name, value in seeded.environ.items():
        monkeypatch.setenv(name, value)
    plans = await PlanChanges.connect(Settings())
    yield Panels(plans)
    await plans.close()


@pytest.fixture
async def alice(panels: Panels) -> Visitor:
    return await panels.visitor("alice@example.com")


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelSystem]:
    if chromium() is None:
        pytest.skip("no browser here: apt-get install chromium")
    with running_panel(tmp_path_factory.mktemp("panel") / "up") as running:
        yield running


@pytest.fixture(scope="session")
async def browser(system: PanelSystem) -> AsyncIterator[Browsing]:
    async with browsing() as opened:
        yield opened
