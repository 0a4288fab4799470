"""Who gets in, and for how long: one-time links, sessions, cookies."""

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy import select, update

from changeover.storage.tables import panel_links, panel_sessions
from starter.api.tokens import hashed
from starter.panel.sessions import Sessions
from tests.starter.panel.conftest import Panels

NOBODY = "00000000-0000-4000-8000-000000000000"


async def test_the_cookie_is_bound_to_the_host(panels: Panels) -> None:
    nobody = await panels.visitor(None)
    alice = await panels.plans.account("alice@example.com")
    entered = await nobody.post("/sign-in", {"account": alice.id})
    cookie = entered.headers["set-cookie"]
    assert cookie.startswith("__Host-changeover=")
    for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie


async def test_the_embedded_cookie_needs_no_https(panels: Panels) -> None:
    nobody = await panels.visitor(None, secure=False)
    alice = await panels.plans.account("alice@example.com")
    cookie = (await nobody.post("/sign-in", {"account": alice.id})).headers["set-cookie"]
    assert cookie.startswith("changeover-session=")
    assert "Secure" not in cookie
    assert "HttpOnly" in cookie


async def _link(panels: Panels, token: str, seconds: float = 60) -> None:
    account = await panels.plans.account("alice@example.com")
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    await panels.insert(panel_links, hash=hashed(token), account_id=account.id, expires_at=until)


async def test_a_link_lets_in_once(panels: Panels) -> None:
    await _link(panels, "a-token")
    first, second = await panels.visitor(None), await panels.visitor(None)
    assert (await first.get("/enter?token=a-token")).status_code == 303
    assert (await first.get("/services")).status_code == 200
    again = await second.get("/enter?token=a-token")
    assert again.status_code == 410
    assert "set-cookie" not in again.headers


async def test_a_link_lets_one_in_however_many_try_at_once(panels: Panels) -> None:
    await _link(panels, "a-token")
    sessions = Sessions(panels.plans.database)
    entered = await asyncio.gather(*(sessions.redeem("a-token") for _ in range(20)))
    assert sum(token is not None for token in entered) == 1


async def test_a_link_that_is_over_or_unknown_lets_nobody_in(panels: Panels) -> None:
    await _link(panels, "old", seconds=-1)
    nobody = await panels.visitor(None)
    for token in ("old", "unknown", "", "\N{SNOWMAN}", "x" * 5000):
        assert (await nobody.get("/enter", params={"token": token})).status_code == 410


async def test_only_hashes_of_sessions_are_kept(panels: Panels) -> None:
    account = await panels.plans.account("alice@example.com")
    token = await Sessions(panels.plans.database).open(account.id)
    async with panels.plans.database.read() as connection:
        rows = (await connection.execute(select(panel_sessions))).all()
    assert [row.hash for row in rows] == [sha256(token.encode()).hexdigest()]
    assert len(token) >= 43
    assert rows[0].expires_at - rows[0].created_at == timedelta(hours=8)


async def test_a_session_ends_with_its_time_and_with_signing_out(panels: Panels) -> None:
    first, second = await panels.visitor("alice@example.com"), await panels.visitor("bruno@example.com")
    assert (await first.post("/sign-out")).status_code == 303
    assert (await first.get("/services")).status_code == 401
    over = update(panel_sessions).values(expires_at=datetime.now(UTC))
    await panels.plans.database.write(lambda connection: connection.execute(over))
    assert (await second.get("/services")).status_code == 401
    fragment = await second.get(f"/changes/{NOBODY}/live", headers={"hx-request": "true"})
    assert fragment.headers["hx-refresh"] == "true"


async def test_signing_out_ends_the_session_itself(panels: Panels) -> None:
    alice = await panels.visitor("alice@example.com")
    token = alice.http.cookies[alice.parts.session_cookie]
    await alice.post("/sign-out")
    alice.http.cookies.set(alice.parts.session_cookie, token, domain="panel.example", path="/")
    assert (await alice.get("/services")).status_code == 401
