"""Every page for everyone: a keyboard, a small screen, a screen reader, the dark."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page
from sqlalchemy import insert, update

from changeover.storage.tables import plan_changes, trail
from tests.starter.panel.browsing import Browsing, Story, expect
from tests.starter.panel.system import PanelSystem

pytestmark = pytest.mark.browser

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
BOTH = pytest.mark.parametrize("language", ["fr", "en"])


async def _no_violation(page: Page, name: str) -> None:
    """Have axe-core look at the page. It is evaluated past the page's policy, which the page keeps."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        await page.evaluate(AXE.read_text(encoding="utf-8"))
        found: dict[str, Any] = await page.evaluate("axe.run({resultTypes: ['violations']})")
        told = [
            f"{it['id']}: {it['help']}: {[node['target'] for node in it['nodes']]}"
            for it in found["violations"]
        ]
        assert told == [], (name, scheme)


async def _fits(page: Page, name: str) -> None:
    await page.set_viewport_size({"width": 320, "height": 640})
    width = await page.evaluate("document.documentElement.scrollWidth")
    sticking_out = await page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 321"
        " && !e.closest('.vh')).map(e => e.outerHTML.slice(0, 80))"
    )
    assert width <= 320, (name, width, sticking_out)
    await page.set_viewport_size({"width": 1100, "height": 800})


@asynccontextmanager
async def _looked_at(story: Story, seen: dict[str, str]) -> AsyncIterator[Any]:
    async def look(name: str) -> None:
        await _no_violation(story.page, name)
        await _fits(story.page, name)
        seen[name] = await story.page.title()

    yield look


@BOTH
async def test_no_page_has_a_barrier_or_sticks_out(
    system: PanelSystem, browser: Browsing, language: str
) -> None:
    email, seen = system.customer(language, 3), dict[str, str]()
    async with browser.story(system, email) as story, _looked_at(story, seen) as look:
        page = story.page
        await page.goto(f"{system.url}services")
        await look("services")
        await page.goto(story.service)
        await look("service")
        await story.edit()
        await look("editor")
        await story.choose(server_count="1", slots="24")
        await expect(page.locator("#quote .note.bad").first).to_be_visible()
        await look("editor, blocked")
        await story.mark_in_editor("server-3")
        await look("editor, marked")
        await page.goto(f"{story.service}/change/recap?offer=cs2-club&slots=11&server_count=9")
        await look("editor, refused")
        await story.edit(slots="24")
        await story.go_on()
        await look("recap")
        await page.locator("form.confirm").evaluate("form => form.noValidate = true")
        await page.locator("form.confirm button.main").click()
        await expect(page.locator(".note.bad[autofocus]")).to_be_focused()
        await look("recap, unticked")
        await story.confirm()
        await system.code_for(email)
        await story.handed_over()
        await look("code")
        await story.type_code("BBBB-BBBB")
        await look("code, wrong")
        await story.right_code()
        await story.outcome()
        await look("outcome")
        for details in await page.locator("details").all():
            await details.evaluate("it => it.open = true")
        await look("outcome, open")
        for path in ("history", "renew"):
            await page.goto(f"{story.service}/{path}")
            await look(path)
        await page.locator("#days").evaluate("it => it.form.noValidate = true")
        await page.locator("#days").fill("0")
        await page.locator("form.roomy button").click()
        await look("renew, wrong")
        await page.goto(f"{system.url}services/nothing")
        await look("not found")
        await page.goto(f"{system.url}sign-in")
        await look("sign-in")
        await page.goto(f"{system.url}enter?token=over")
        await look("link is over")
    distinct = {name: title for name, title in seen.items() if "," not in name}
    assert len(set(distinct.values())) == len(distinct), "every page has a title of its own"
    wrong = ("recap, unticked", "code, wrong", "renew, wrong", "editor, refused")
    assert all(re.match(r"Erreur|Error", seen[name]) for name in wrong)


@BOTH
async def test_what_is_under_way_and_what_ended_badly_have_no_barrier(
    system: PanelSystem, browser: Browsing, language: str
) -> None:
    email = system.customer(language, 2)
    async with browser.story(system, email) as story, _looked_at(story, {}) as look:
        await story.edit(slots="12")
        await story.go_on()
        change = await story.confirm()
        await story.handed_over()
        await story.page.locator(".cancel button").click()
        await story.outcome()
        await look("cancelled")
        await system.pretend_stage(change, "applying")
        await story.page.reload()
        await look("progress")
        await system.pretend_stage(change, "abandoned")
        await expect(story.page.locator("dl.facts dd.mono")).to_be_visible(timeout=10_000)


async def _press_until(page: Page, selector: str, most: int = 60) -> None:
    """Press Tab until the wanted element has the focus, which must be visible all the way."""
    for _ in range(most):
        await page.keyboard.press("Tab")
        if await page.evaluate("s => document.activeElement?.matches(s)", selector):
            outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", selector
            return
    raise AssertionError(f"Tab doesn't lead to {selector}")


async def test_a_whole_change_with_the_keyboard_alone(system: PanelSystem, browser: Browsing) -> None:
    email = system.customer("fr", 3)
    async with browser.story(system, email) as story:
        page, keys = story.page, story.page.keyboard
        await page.goto(f"{system.url}services")
        await keys.press("Tab")
        await expect(page.locator(".skip")).to_be_focused()
        await keys.press("Enter")
        await _press_until(page, ".card .button.main")
        await keys.press("Enter")
        await page.wait_for_url("**/change")
        await _press_until(page, "#slots")
        await keys.type("24")
        await _press_until(page, ".server:last-child button")
        await keys.press("Enter")
        await expect(page.locator(".server.is-marked")).to_have_count(1)
        assert await page.locator("#slots").input_value() == "24"
        await page.locator("#content").focus()
        await _press_until(page, ".beside button.main")
        await keys.press("Enter")
        await page.wait_for_url("**/recap?**")
        for box in ("#no_refund", "#destroy-1"):
            await _press_until(page, box)
            await keys.press("Space")
        await _press_until(page, "form.confirm button.main")
        await keys.press("Enter")
        await page.wait_for_url("**/changes/*")
        code = await system.code_for(email)
        await story.handed_over()
        await expect(page.locator("#code")).to_be_focused()
        await keys.type(code)
        await keys.press("Enter")
        assert await story.outcome() == "Votre changement est effectué"


async def test_enter_in_the_editor_marks_nothing(system: PanelSystem, browser: Browsing) -> None:
    async with browser.story(system, system.customer("fr", 3)) as story:
        await story.edit()
        await story.page.locator("input[name=offer]:checked").focus()
        async with story.page.expect_navigation():
            await story.page.keyboard.press("Enter")
        assert "/change?" in story.page.url
        await expect(story.page.locator(".is-marked")).to_have_count(0)


async def test_the_quote_and_the_countdown_are_told_politely(system: PanelSystem, browser: Browsing) -> None:
    email = system.customer("en", 2)
    async with browser.story(system, email) as story:
        page = story.page
        await story.edit()
        region = page.locator("#quote[aria-live=polite]")
        await story.choose(slots="12")
        await expect(region).to_contain_text("After this change you will have")
        focused = await page.evaluate("document.activeElement.id")
        await page.locator("input[name=offer][value=cs2-club]").check()
        await expect(page.locator("input[name=shown_offer]")).to_have_value("cs2-club")
        assert focused in {"slots", ""}
        await story.go_on()
        await story.confirm()
        await system.code_for(email)
        await story.handed_over()
        shown = await page.locator(".countdown").inner_text()
        assert re.fullmatch(r"\(\d{1,2}:\d\d\)", shown)
        await expect(page.locator(".countdown")).not_to_have_text(shown, timeout=3000)
        assert await page.locator(".countdown").get_attribute("aria-hidden") == "true"
        spoken = await page.locator("[data-told]").inner_text()
        assert re.fullmatch(r"|Time left 10 minutes|The code is valid until [\d:]+", spoken)
        await page.locator(".cancel button").click()
        await story.outcome()


@asynccontextmanager
async def _only_this_is_told(page: Page, news: str) -> AsyncIterator[None]:
    region = page.locator("[role=status][data-told]")
    there = await region.element_handle()
    yield
    await expect(region).to_contain_text(news)
    await expect(region.locator("p")).to_have_count(1)
    assert await there.evaluate("it => it.isConnected")


async def test_what_is_new_is_told_in_a_region_that_stays(system: PanelSystem, browser: Browsing) -> None:
    async with browser.story(system, system.customer("en", 2)) as story:
        page = story.page
        await story.edit(slots="12")
        await story.go_on()
        change = await story.confirm()
        await story.handed_over()
        async with _only_this_is_told(page, "4 tries left for this code"):
            wrong = update(plan_changes).where(plan_changes.c.id == change).values(wrong_on_code=1)
            await system.execute(wrong)
        await page.locator(".cancel button").click()
        await story.outcome()
        await system.pretend_stage(change, "applying")
        await page.reload()
        async with _only_this_is_told(page, "server-2"):
            entry: dict[str, Any] = {"event": "limits_applied", "stage": "applying", "actor": "system"}
            entry |= {"change_id": change, "at": datetime.now(UTC), "data": {"server": "server-2"}}
            await system.execute(insert(trail).values(**entry))
        await system.pretend_stage(change, "abandoned")
        await story.outcome()


async def test_without_motion_nothing_moves(system: PanelSystem, browser: Browsing) -> None:
    async with browser.story(system, system.customer("fr", 2), reduced_motion="reduce") as story:
        moving = await story.page.evaluate(
            "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).animationName !== 'none'"
            " || getComputedStyle(e).transitionDuration !== '0s').length"
        )
        assert moving == 0


async def test_a_page_is_quick(system: PanelSystem, browser: Browsing) -> None:
    async with browser.story(system, system.customer("fr", 3)) as story:
        times = []
        for _ in range(15):
            answer = await story.context.request.get(f"{story.service}/change")
            assert answer.ok
            times.append(await story.timed_get(f"{story.service}/change"))
        assert min(times) < 0.1, f"{times}: what else runs here may delay some of them, not each"
