"""The Temporal UI in a browser, as an operator uses it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import quote

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Locator, Page, expect
from playwright.async_api import TimeoutError as PlaywrightTimeout

PATIENCE_MS = 60_000
_LOOK_MS = 10_000


class TemporalUi:
    """One page of the browser; `address` is the UI's own."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self._workflows = f"{address}/namespaces/default/workflows"
        page.set_default_timeout(PATIENCE_MS)

    async def view(self, query: str, *shows: str) -> None:
        """Open the list by a saved view's query, again until it links to these runs: it lags behind them."""
        for _ in range(PATIENCE_MS // _LOOK_MS):
            await self.page.goto(f"{self._workflows}?query={quote(query)}")
            with suppress(PlaywrightTimeout):
                for workflow_id in shows:
                    await self._link(workflow_id).wait_for(timeout=_LOOK_MS)
                return
        raise AssertionError(f"the list never shows all of {shows}")

    def _link(self, workflow_id: str) -> Locator:
        return self.page.get_by_role("link", name=workflow_id).first

    async def raw_query(self) -> None:
        """Show the list's query as it is typed."""
        await self.page.get_by_test_id("toggle-manual-query").first.click()

    async def open(self, workflow_id: str) -> None:
        """Follow the link of a run in the list."""
        await self._link(workflow_id).click()

    async def tab(self, name: str) -> None:
        await self.page.get_by_text(name).locator("visible=true").first.click()

    async def metadata(self, says: str) -> str:
        """Open User Metadata, wait until it says so, and return all its words (they are in frames)."""
        await self.tab("User Metadata")
        for _ in range(PATIENCE_MS // 200):
            told = []
            for frame in self.page.frames[1:]:
                with suppress(PlaywrightError):  # the page just put another in its place
                    told.append(await frame.inner_text("body", timeout=PATIENCE_MS // 10))
            if any(says in text for text in told):
                return "\n".join(told)
            await self.page.wait_for_timeout(200)
        raise AssertionError(f"the page never says {says!r}")

    async def fill_in_update(self, name: str, data: Mapping[str, str | None]) -> None:
        """Open More Actions, Send an Update, and fill it in."""
        await self.page.get_by_role("button", name="More Actions").click()
        await self.page.locator(".menu-item-wrapper:visible", has_text="Send an Update").click()
        dialog = self.page.locator("[role=dialog]:visible, dialog[open]").first
        await (
            dialog.get_by_test_id("update-select")
            .locator("xpath=ancestor::*[@role='combobox' or self::div][1]")
            .click()
        )
        await self.page.get_by_role("option", name=name).first.click()
        await dialog.get_by_role("textbox", name="Data").click()
        await self.page.keyboard.insert_text(json.dumps(data))
        await dialog.get_by_test_id("update-id").click()  # what was pasted is formatted, and the button moves

    async def submit(self) -> None:
        button = self.page.locator("button[type=submit]:visible", has_text="Submit")
        await button.click()
        await expect(button).to_be_hidden(timeout=PATIENCE_MS)
