"""Whole stories of customers in a real browser, against a whole real system."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from starter.texts import Texts
from tests.starter.panel.browsing import Browsing, Story, expect
from tests.starter.panel.system import PanelSystem

pytestmark = pytest.mark.browser

BOTH = pytest.mark.parametrize("language", ["fr", "en"])
DONE = {"fr": "Votre changement est effectué", "en": "Your change is done"}
NOT_MADE = {"fr": "Le changement n'a pas eu lieu", "en": "The change was not made"}


async def requested(story: Story, **fields: str) -> str:
    """Ask for a change by the editor and its recap, and return its id."""
    await story.edit(**fields)
    await story.go_on()
    return await story.confirm()


async def kinds_of_changes(story: Story) -> list[str]:
    """Return how each change in the history stands, newest first."""
    await story.page.goto(f"{story.service}/history")
    return [text.strip() for text in await story.page.locator(".card .tag").all_inner_texts()]


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@BOTH
async def test_a_change_with_a_teardown(
    system: PanelSystem, browser: Browsing, language: str, scripts: bool
) -> None:
    email = system.customer(language, 3)
    async with browser.story(system, email, scripts=scripts) as story:
        page = story.page
        await story.edit()
        await story.mark_in_editor("server-3")
        await story.choose(slots="12")
        if not scripts:
            await page.locator("noscript button, .beside button").first.click()
        leaves = {"fr": "Après ce changement, il vous restera", "en": "After this change you will have"}
        await expect(page.locator("#quote")).to_contain_text(leaves[language])
        days = await page.locator("#quote .figure-line strong").inner_text()
        await story.go_on()
        await expect(page.locator(".loss")).to_contain_text("server-3")
        await expect(page.locator(".figure-line strong")).to_have_text(days)
        await story.confirm()
        await expect(page.locator(".lead")).to_contain_text("c***@e***.com")
        await story.right_code()
        assert await story.outcome() == DONE[language]
        await expect(page.locator(".receipt")).to_contain_text("server-3")
        assert await page.locator(".receipt li").count() == 6
        await page.reload()
        assert await story.outcome() == DONE[language]
        await page.goto(story.service)
        names = await page.locator(".server strong").all_inner_texts()
        assert names == ["server-1", "server-2"]
        await expect(page.locator(".figure")).to_contain_text(days)


@pytest.fixture(scope="module")
async def locked_out(system: PanelSystem, browser: Browsing) -> AsyncIterator[dict[str, Story]]:
    """Two customers who typed five wrong codes. A new one may be asked for a minute after the mail: the
    stories between the tests that use this fill the time.
    """
    async with AsyncExitStack() as stories:
        found = {}
        for language in ("fr", "en"):
            email = system.customer(language, 2)
            found[language] = await stories.enter_async_context(browser.story(system, email))
            await _five_wrong_codes(found[language], Texts(language))
        yield found


async def _five_wrong_codes(story: Story, texts: Texts) -> None:
    await requested(story, slots="20")
    await story.system.code_for(story.email)
    await story.handed_over()
    for left, wrong in enumerate(("BBBB-BBBB", "CCCCCCCC", "dddd dddd", "FFFF.FFFF"), start=1):
        answer = await story.type_code(wrong)
        assert answer is not None
        assert answer.status == 422
        said = texts.plural("{n} try is left.", "{n} tries are left.", 5 - left)
        await expect(story.page.locator("#code-error")).to_contain_text(said)
        await expect(story.page.locator("#code")).to_be_focused()
    await story.type_code("GGGG-GGGG")


@BOTH
async def test_five_wrong_codes_lock_the_code(locked_out: dict[str, Story], language: str) -> None:
    page = locked_out[language].page
    await expect(page.locator("#code")).to_have_count(0)
    await expect(page.locator("#live button")).to_be_disabled()
    await expect(page.locator("#resend-when time")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
async def test_cancelling_changes_nothing(system: PanelSystem, browser: Browsing, scripts: bool) -> None:
    async with browser.story(system, system.customer("fr", 2), scripts=scripts) as story:
        before = await story.page.locator("dl.facts").inner_text()
        await requested(story, slots="12")
        await story.page.locator(".cancel button").click()
        assert await story.outcome() == NOT_MADE["fr"]
        await expect(story.page.locator(".note")).to_contain_text("annulé")
        await story.page.goto(story.service)
        assert await story.page.locator("dl.facts").inner_text() == before


@BOTH
async def test_a_price_that_changes_meanwhile_makes_it_stale(
    system: PanelSystem, browser: Browsing, language: str
) -> None:
    email = system.customer(language, 3)
    async with browser.story(system, email) as story:
        await requested(story, slots="24")
        code = await system.code_for(email)
        await story.handed_over()
        await system.price("cs2-club", 130)
        try:
            await story.type_code(code)
        finally:
            await system.price("cs2-club", 110)
        assert await story.outcome() == NOT_MADE[language]
        told = {"fr": "les prix ont changé", "en": "the prices had changed"}
        assert told[language][:8].lower() in (await story.page.locator(".note.bad").inner_text()).lower()


async def test_a_price_that_changes_before_the_confirmation_is_shown(
    system: PanelSystem, browser: Browsing
) -> None:
    async with browser.story(system, system.customer("fr", 3)) as story:
        await story.edit(slots="24")
        await story.go_on()
        await system.price("cs2-club", 130)
        try:
            for box in await story.page.locator("form.confirm input[type=checkbox]").all():
                await box.check()
            await story.page.locator("form.confirm button.main").click()
            await expect(story.page.locator(".note.bad")).to_be_focused()
            await expect(story.page.locator(".compare")).to_contain_text("93,60")
            await expect(story.page.locator("#no_refund")).not_to_be_checked()
        finally:
            await system.price("cs2-club", 110)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
async def test_too_few_days_then_a_renewal_then_the_change(
    system: PanelSystem, browser: Browsing, scripts: bool
) -> None:
    async with browser.story(system, await system.poor_customer(), scripts=scripts) as story:
        page = story.page
        await story.edit()
        await story.choose(slots="32")
        if not scripts:
            await page.locator("noscript button, .beside button").first.click()
        await expect(page.locator("#quote")).to_contain_text("insuffisant")
        await page.locator("#quote .ways a").click()
        assert await page.locator("#days").input_value() == "1"
        await page.locator("form.roomy button").click()
        await expect(page.locator(".note.good")).to_contain_text("renouvelé")
        assert await page.locator("#slots").input_value() == "32"
        await story.go_on()
        await story.confirm()
        await story.right_code()
        assert await story.outcome() == DONE["fr"]


async def test_a_second_tab_is_told_what_the_first_did(system: PanelSystem, browser: Browsing) -> None:
    email = system.customer("en", 2)
    async with browser.story(system, email) as story:
        await requested(story, slots="12")
        first, address = story.page, story.page.url
        second = await story.context.new_page()
        story.watch(second)
        await second.goto(address)
        await expect(second.locator("#code")).to_be_visible()
        other = await story.context.new_page()
        await other.goto(f"{story.service}/change?offer=cs2-eco&slots=24&server_count=2")
        await expect(other.locator("#quote")).to_contain_text("Another plan change")
        await other.locator("#quote .ways a").first.click()
        assert other.url == address
        story.page = first
        await story.right_code()
        assert await story.outcome() == DONE["en"]
        await expect(second.locator("h1")).to_have_text(DONE["en"], timeout=15_000)


async def test_the_back_button_makes_no_second_change(system: PanelSystem, browser: Browsing) -> None:
    async with browser.story(system, system.customer("fr", 2)) as story:
        change = await requested(story, slots="12")
        await story.page.go_back()
        await story.page.wait_for_url("**/recap?**")
        await expect(story.page.locator(f'a[href$="/changes/{change}"]').first).to_be_visible()
        await story.page.locator(f'a[href$="/changes/{change}"]').first.click()
        await story.page.locator(".cancel button").click()
        await story.outcome()
        assert len(await kinds_of_changes(story)) == 1


async def test_a_double_click_is_one_change(system: PanelSystem, browser: Browsing) -> None:
    email = system.customer("fr", 2)
    async with browser.story(system, email) as story:
        await story.edit(slots="12")
        await story.go_on()
        for box in await story.page.locator("form.confirm input[type=checkbox]").all():
            await box.check()
        await story.page.locator("form.confirm button.main").dblclick()
        await story.page.wait_for_url("**/changes/*")
        await system.code_for(email)
        await asyncio.sleep(0.5)
        assert len(await kinds_of_changes(story)) == 1
        assert len(system.mails_to(email)) == 1


async def test_a_worker_that_dies_between_recap_and_code(system: PanelSystem, browser: Browsing) -> None:
    email = system.customer("fr", 3)
    async with browser.story(system, email) as story:
        await story.edit()
        await story.mark_in_editor("server-2")
        await story.go_on()
        await asyncio.to_thread(system.up.kill_worker)
        await story.confirm_patiently()
        await story.right_code()
        assert await story.outcome() == DONE["fr"]
        assert len(await kinds_of_changes(story)) == 1


async def test_the_engine_that_is_away_loses_nothing(system: PanelSystem, browser: Browsing) -> None:
    """The page says so and keeps its key; pressing again gives the one change."""
    async with browser.story(system, system.customer("en", 2)) as story:
        await story.edit(slots="12")
        await story.go_on()
        key = await story.page.locator("input[name=key]").input_value()
        async with system.engine_away():
            for box in await story.page.locator("form.confirm input[type=checkbox]").all():
                await box.check()
            await story.page.locator("form.confirm button.main").click()
            await expect(story.page.locator(".note.bad")).to_contain_text("Nothing is lost", timeout=30_000)
            assert await story.page.locator("input[name=key]").input_value() == key
        await story.confirm_patiently()
        await story.right_code()
        assert await story.outcome() == DONE["en"]
        assert len(await kinds_of_changes(story)) == 1


async def test_every_customer_of_the_demo_can_be_tried(system: PanelSystem, browser: Browsing) -> None:
    async with browser.story(system, system.customer("fr", 2)) as story:
        page = story.page
        await page.goto(f"{system.url}sign-in")
        buttons = await page.locator("main form button").count()
        assert buttons >= 8
        for number in range(buttons):
            await page.goto(f"{system.url}sign-in")
            await page.locator("main form button").nth(number).click()
            await page.locator(".card h2 a").first.click()
            await page.goto(re.sub(r"[?#].*", "", page.url) + "/change")
            await expect(page.locator("#quote")).to_be_visible()


@BOTH
async def test_after_a_minute_a_new_code_is_sent_once(locked_out: dict[str, Story], language: str) -> None:
    story = locked_out[language]
    page, resend = story.page, story.page.locator("#live button")
    await expect(resend).to_be_enabled(timeout=75_000)
    await resend.dblclick()
    await expect(page.locator("#code")).to_be_visible()
    await story.right_code(2)
    assert await story.outcome() == DONE[language]
    assert len(story.system.codes_to(story.email)) == 2
