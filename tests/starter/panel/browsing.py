"""A customer in a browser, and everything the browser complained about."""

import re
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Page, Playwright, Response, async_playwright, expect
from playwright.async_api import Error as PlaywrightError

from tests.starter.panel.system import PanelSystem, chromium

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)
PATIENCE = 30_000

__all__ = ["Browsing", "Story", "browsing", "expect"]


class Browsing:
    """The browser of a test session."""

    def __init__(self, playwright: Playwright, browser: Browser) -> None:
        self.playwright = playwright
        self.browser = browser

    @asynccontextmanager
    async def story(
        self, system: PanelSystem, email: str, *, scripts: bool = True, **context: Any
    ) -> AsyncIterator["Story"]:
        """Give a signed-in customer; afterwards the browser must have had nothing to complain about."""
        opened = await self.browser.new_context(java_script_enabled=scripts, **context)
        opened.set_default_timeout(PATIENCE)
        story = Story(system, email, opened, await opened.new_page(), scripts=scripts)
        try:
            await story.enter()
            yield story
            assert story.complaints == []
        finally:
            await opened.close()


@asynccontextmanager
async def browsing() -> AsyncIterator[Browsing]:
    executable = chromium()
    assert executable is not None, "asked for before"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, headless=True, args=list(ARGUMENTS)
        )
        yield Browsing(playwright, browser)
        await browser.close()


class Story:
    """What a customer does, in the words of the panel's own structure: ids, roles and names of fields."""

    def __init__(
        self, system: PanelSystem, email: str, context: BrowserContext, page: Page, *, scripts: bool = True
    ) -> None:
        self.system = system
        self.email = email
        self.context = context
        self.page = page
        self.service = ""
        self.scripts = scripts
        self.complaints: list[str] = []
        self.watch(page)

    def watch(self, page: Page) -> None:
        """Note requests that leave the origin, and what the console says of the policy or of scripts."""
        page.on("request", lambda request: self._requested(request.url))
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))

    def _requested(self, url: str) -> None:
        there = urlsplit(url)
        if there.scheme != "data" and there.netloc != urlsplit(self.system.url).netloc:
            self.complaints.append(f"request to {url}")

    def _said(self, kind: str, text: str) -> None:
        # The console lists every answer of status 4xx or 5xx; tests look at those themselves.
        if kind in {"error", "warning"} and "Failed to load resource" not in text:
            self.complaints.append(f"console: {text}")

    async def enter(self) -> None:
        """Come in by a one-time link, and open the one service there is."""
        account = await self.system.account_id(self.email)
        await self.page.goto(await self.system.link(account))
        await self.page.locator(".card h2 a").first.click()
        self.service = re.sub(r"[?#].*", "", self.page.url)

    async def edit(self, **fields: str) -> None:
        """Open the editor and choose: `offer`, `slots`, `server_count`; the quote has followed afterwards."""
        await self.page.goto(f"{self.service}/change")
        await self.choose(**fields)

    async def choose(self, **fields: str) -> None:
        for name, value in fields.items():
            if name == "offer":
                await self._followed(self.page.locator(f"input[name=offer][value={value}]").check())
            else:
                await self._followed(self.page.locator(f"#{name}").select_option(value))

    async def _followed(self, edit: Awaitable[Any]) -> None:
        """Edit, and wait until the quote has followed; without scripts it doesn't."""
        if not self.scripts:
            await edit
            return
        async with self.page.expect_response("**/change/quote?**"):
            await edit
        await expect(self.page.locator(".htmx-request, .htmx-swapping")).to_have_count(0)

    async def mark_in_editor(self, name: str) -> None:
        await self.page.locator(".server", has_text=name).locator("button").click()
        await expect(self.page.locator(".server.is-marked", has_text=name)).to_be_visible()

    async def go_on(self) -> None:
        """Go on to the recap."""
        await self.page.locator(".beside button.main").click()
        await self.page.wait_for_url("**/change/recap?**")

    async def confirm(self) -> str:
        """Tick everything, confirm, and return the id of the change."""
        for box in await self.page.locator("form.confirm input[type=checkbox]").all():
            await box.check()
        await self.page.locator("form.confirm button.main").click()
        await self.page.wait_for_url("**/changes/*")
        return self.change_id

    async def confirm_patiently(self) -> str:
        """Confirm; while the engine is away press the same form's button again, as the page asks to."""
        for _ in range(10):
            for box in await self.page.locator("form.confirm input[type=checkbox]").all():
                await box.check()
            async with self.page.expect_navigation(timeout=60_000):
                await self.page.locator("form.confirm button.main").click()
            if "/changes/" in self.page.url:
                return self.change_id
            open_change = self.page.locator("#quote .ways a[href*='/changes/']")
            if await open_change.count():  # it was opened before the answer was lost
                await open_change.first.click()
                return self.change_id
        raise AssertionError("the engine did not come back")

    async def timed_get(self, url: str) -> float:
        """Return the seconds that a page takes to arrive."""
        since = time.perf_counter()
        await self.context.request.get(url)
        return time.perf_counter() - since

    @property
    def change_id(self) -> str:
        return urlsplit(self.page.url).path.split("/changes/")[1].split("/")[0]

    async def type_code(self, code: str) -> Response | None:
        """Type a code and press the button; None when the page's own look at the change led on faster."""
        await self.page.locator("#code").fill(code)
        try:
            async with self.page.expect_navigation() as navigation:
                await self.page.locator(".code-form button").click()
            return await navigation.value
        except PlaywrightError as error:
            if "ERR_ABORTED" not in error.message:
                raise
            await self.page.wait_for_load_state()
            return None

    async def right_code(self, number: int = 1) -> None:
        code = await self.system.code_for(self.email, number)
        await self.handed_over()
        await self.type_code(code.lower().replace("-", " "))

    async def handed_over(self) -> None:
        """Wait until the page tells how long the code is valid; without scripts, by reloading."""
        for _ in range(60):
            if await self.page.locator(".countdown").count():
                return
            await self.page.wait_for_timeout(250)
            await self.page.reload()
        raise AssertionError("the code was not handed over in time")

    async def outcome(self) -> str:
        """Wait for the outcome and return its heading."""
        await expect(self.page.locator("dl.facts dd.mono")).to_be_visible(timeout=PATIENCE)
        return await self.page.locator("h1").inner_text()

    async def shot(self, file: Path, *, dark: bool, width: int) -> None:
        await self.page.set_viewport_size({"width": width, "height": 900})
        await self.page.emulate_media(color_scheme="dark" if dark else "light")
        await self.page.evaluate("window.scrollTo(0, 0)")
        await self.page.screenshot(path=file, full_page=True)
