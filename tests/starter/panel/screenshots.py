"""`python -m tests.starter.panel.screenshots --out DIR`: pictures of the main pages of a real system.

Each page is taken light and dark, wide and narrow.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.starter.panel.browsing import Browsing, Story, browsing
from tests.starter.panel.system import PanelSystem, running_panel

WIDTHS = {"wide": 1200, "narrow": 320}


class Camera:
    """Takes a page in every shape."""

    def __init__(self, out: Path) -> None:
        self._out = out

    async def take(self, story: Story, name: str) -> None:
        for shape, width in WIDTHS.items():
            for scheme in ("light", "dark"):
                await story.shot(
                    self._out / f"{name}-{shape}-{scheme}.png", dark=scheme == "dark", width=width
                )
        await story.page.set_viewport_size({"width": WIDTHS["wide"], "height": 900})


async def _teardown(story: Story, camera: Camera) -> None:
    """A whole change: three servers to two, other slots."""
    await story.page.goto(f"{story.system.url}services")
    await camera.take(story, "services")
    await story.edit()
    await story.mark_in_editor("server-3")
    await story.choose(slots="24")
    await story.page.wait_for_timeout(600)
    await camera.take(story, "editor")
    await story.page.goto(story.service)
    await camera.take(story, "service")
    await story.page.go_back()
    await story.go_on()
    await camera.take(story, "recap")
    await story.page.locator("form.confirm").evaluate("form => form.noValidate = true")
    await story.page.locator("form.confirm button.main").click()
    await camera.take(story, "recap-unticked")
    await story.confirm()
    await story.system.code_for(story.email)
    await story.handed_over()
    await camera.take(story, "code")
    await story.type_code("BBBB-BBBB")
    await camera.take(story, "code-wrong")
    await story.right_code()
    await story.shot(camera._out / "progress-wide-light.png", dark=False, width=1200)
    await story.outcome()
    await camera.take(story, "outcome")
    await story.page.goto(f"{story.service}/history")
    await camera.take(story, "history")


async def _others(browser: Browsing, system: PanelSystem, camera: Camera) -> None:
    async with browser.story(system, "bruno@example.com") as story:
        await story.edit(slots="32")
        await story.page.wait_for_timeout(600)
        await camera.take(story, "editor-few-days")
        await story.page.locator(".ways a").first.click()
        await camera.take(story, "renew")
        await story.page.goto(f"{system.url}services/nothing")
        await camera.take(story, "not-found")
    async with browser.story(system, "grace@example.com") as story:
        await camera.take(story, "expired")
        await story.page.goto(f"{system.url}sign-in")
        await camera.take(story, "sign-in")


async def _take_all(out: Path) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="changeover-panel-") as folder,
        running_panel(Path(folder) / "up") as system,
    ):
        async with browsing() as browser:
            camera = Camera(out)
            async with browser.story(system, "alice@example.com") as story:
                await _teardown(story, camera)
            await _others(browser, system, camera)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    asyncio.run(_take_all(out))


if __name__ == "__main__":
    main()
