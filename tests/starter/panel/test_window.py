"""A window that runs out before the customer's eyes: the shortest there can be, one minute of real time."""

import pytest

from tests.starter.panel.browsing import Browsing, expect
from tests.starter.panel.system import chromium, running_panel

pytestmark = pytest.mark.browser

WINDOW = {"CHANGEOVER_CONFIRMATION_WINDOW_MINUTES": "1"}
LATEST = 90_000
"""Milliseconds: the window, and time for the page to hear of its end."""


async def test_when_the_window_is_over_the_page_says_so_and_nothing_has_changed(
    tmp_path_factory: pytest.TempPathFactory, browser: Browsing
) -> None:
    if chromium() is None:
        pytest.skip("no browser here: apt-get install chromium")
    with running_panel(tmp_path_factory.mktemp("window") / "up", WINDOW) as system:
        email = system.customer("fr", 3)
        async with browser.story(system, email, scripts=True) as story:
            await story.edit()
            await story.mark_in_editor("server-3")
            await story.choose(slots="12")
            await story.go_on()
            await story.confirm()
            await story.handed_over()
            await expect(story.page.locator("dl.facts dd.mono")).to_be_visible(timeout=LATEST)
            assert await story.page.locator("h1").inner_text() == "Le changement n'a pas eu lieu"
            await story.page.goto(story.service)
            names = await story.page.locator(".server strong, .server s").all_inner_texts()
            assert len(names) == 3, "nothing was destroyed"
            await expect(story.page.locator("main")).to_contain_text("marqué pour suppression")
        mails = [text for text in system.mails_to(email) if "Subject" in text]
        assert len(mails) == 2, "the code, and that the window is over"
