"""`python -m tests.operations.screenshots --out docs/operations/screenshots`: the runbook's pictures.

Of real systems, as an operator meets them in the Temporal UI: a change at every stage and each of its ends,
what is in trouble, and the other runs. With names of `SERIES`, only those are taken.
"""

import argparse
import asyncio
import io
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageChops
from playwright.async_api import FloatRect, ViewportSize

from starter.process import leave
from tests.e2e.running import Up, running_up
from tests.operations import ends
from tests.operations.conftest import CUSTOMERS
from tests.operations.field import Field, opened
from tests.operations.runbook import saved_views
from tests.operations.ui import TemporalUi
from tests.starter.panel.browsing import browsing

_WIDTH = 1440
"""Narrower, the UI cuts off more of what it says above a run's tabs."""
_SIZE: ViewportSize = {"width": _WIDTH, "height": 1400}
_NAVIGATION: FloatRect = {"x": 0, "y": 0, "width": 256, "height": 100}
"""The UI's own, around what is about the run."""
_COLOURS = 32
_SETTLED_MS = 1500


class Camera:
    """Takes what the page shows once it stands still, with few colours: it is for the repository."""

    def __init__(self, ui: TemporalUi, out: Path) -> None:
        self.ui = ui
        self._out = out

    async def take_page(self, name: str, height: int) -> None:
        """Take the whole page, in a window of this height."""
        await self.ui.page.set_viewport_size({"width": _WIDTH, "height": height})
        await self._take(name, {"x": 0, "y": 0, "width": _WIDTH, "height": height})
        await self.ui.page.set_viewport_size(_SIZE)

    async def take(self, name: str, above: str = "") -> None:
        """Take the part of the page that is about the run, as far as the line above these words."""
        end = float(_SIZE["height"])
        if above:
            box = await self.ui.page.get_by_text(above).locator("visible=true").first.bounding_box()
            assert box is not None, f"the page shows {above!r}"
            end = box["y"]
        left, top = _NAVIGATION["width"], _NAVIGATION["height"]
        await self._take(name, {"x": left, "y": top, "width": _WIDTH - left, "height": end - top})

    async def take_run(
        self, name: str, workflow_id: str, *, says: str = "", tab: str = "", above: str = ""
    ) -> None:
        """Open a run, at its metadata once they say so, or at a tab, and take it."""
        await self.ui.view(f"WorkflowId = '{workflow_id}'", workflow_id)
        await self.ui.open(workflow_id)
        if tab:
            await self.ui.tab(tab)
        else:
            await self.ui.metadata(says)
        await self.take(name, above)

    async def _take(self, name: str, part: FloatRect) -> None:
        await self.ui.page.wait_for_timeout(_SETTLED_MS)
        taken = await self.ui.page.screenshot(clip=part)
        to = self._out / f"{name}.png"
        with Image.open(io.BytesIO(taken)) as picture:
            _without_the_empty_end(picture.convert("RGB")).quantize(_COLOURS).save(to, optimize=True)
        sys.stdout.write(f"{to}\n")
        sys.stdout.flush()


def _without_the_empty_end(picture: Image.Image) -> Image.Image:
    """Cut off what is below the last line that has anything on it."""
    width, height = picture.size
    background = Image.new("RGB", picture.size, picture.getpixel((width // 2, height - 1)))
    used = ImageChops.difference(picture, background).getbbox()
    return picture.crop((0, 0, width, min(height, used[3] + 12))) if used else picture


async def in_trouble(field: Field, camera: Camera) -> None:
    ui = camera.ui
    waiting = await field.requested(await field.customer(3), marks=1, slots=4)
    await field.mailed(waiting)
    stuck = await field.stuck_teardown()
    server, service = stuck.words["SERVER"], stuck.words["SERVICE"]
    await ui.view(saved_views()["needs attention"], f"teardown/{server}")
    await ui.raw_query()
    await camera.take_page("list", height=600)
    await ui.open(f"plan-change/{service}")
    await ui.metadata("needs_attention")
    await camera.take("change-needs-attention")
    await ui.view(saved_views()["needs attention"], f"teardown/{server}")
    await ui.open(f"teardown/{server}")
    await ui.metadata("Mend the cause")
    await camera.take("teardown-needs-attention")
    await ui.fill_in_update("retry", {"change_id": stuck.change_id, "actor": "olga"})
    await camera.take_page("update", height=700)
    await ui.view(saved_views()["waiting for codes"], f"plan-change/{waiting.words['SERVICE']}")
    await ui.open(f"plan-change/{waiting.words['SERVICE']}")
    await ui.metadata("awaiting_code")
    await camera.take("awaiting-code")
    with field.frozen("changeover.mail.catcher"):
        late = await field.requested(await field.customer(1), slots=4)
        await ui.view(saved_views()["waiting for codes"], f"plan-change/{late.words['SERVICE']}")
        await ui.open(f"plan-change/{late.words['SERVICE']}")
        await ui.tab("Pending Activities")
        await ui.page.get_by_text("send_code").locator("visible=true").first.wait_for()
        await camera.take("pending-mail")


async def stages_and_ends(field: Field, camera: Camera) -> None:
    tries = asyncio.create_task(ends.too_many_tries(field))  # takes a minute
    await camera.take_run("rejected", await ends.rejected(field), says="rejected")
    await camera.take_run("abandoned-cancelled", await ends.cancelled(field), says="cancelled")
    await camera.take_run("abandoned-stale", await ends.stale(field), says="stale")
    await camera.take_run("abandoned-mail-refused", await ends.mail_refused(field), says="mail-refused")
    await camera.take_run("abandoned-interrupted", await ends.interrupted(field), tab="Timeline")
    case = await ends.applying(field)
    run = f"plan-change/{case.customer.service.id}"
    await camera.take_run("applying", run, says="committed")
    torn = f"teardown/{case.words['SERVER']}"
    await camera.take_run("applying-host-away", torn, tab="Pending Activities", above="Stack Trace")
    ends.host_is_back(field)
    await field.stage(case, "completed")
    await camera.take_run("completed", run, says="completed")
    await camera.take_run("teardown-completed", torn, says="completed")
    await camera.take_run("abandoned-too-many-tries", await tries, says="too-many-tries")


async def other_runs(field: Field, camera: Camera) -> None:
    case, code = await ends.mailed(field)
    with field.frozen("changeover.mail.catcher"):
        waiting = await ends.outcome_mail(field, case, code)
        await camera.take_run("outcome-mail", waiting, says="mail")
    given = await ends.evidence(field, await field.stuck_teardown())
    await camera.take_run("evidence", given, says="recorded")
    await camera.take_run("reconcile", await ends.reconcile(field), says="server-unknown")
    await camera.take_run("forget", await ends.forget(field), says="forgotten")


async def without_a_worker(field: Field, camera: Camera) -> None:
    with field.frozen("-m worker"):
        await camera.take_run("requested", await ends.requested(field), tab="Search Attributes")


async def short_windows(field: Field, camera: Camera) -> None:
    await camera.take_run("abandoned-window-over", await ends.window_over(field), says="window-over")


SERIES: Mapping[str, tuple[Mapping[str, str], Callable[[Field, Camera], Awaitable[None]]]] = {
    "in-trouble": ({}, in_trouble),
    "stages-and-ends": ({}, stages_and_ends),
    "other-runs": ({}, other_runs),
    "without-a-worker": ({}, without_a_worker),
    "short-windows": ({"CHANGEOVER_CONFIRMATION_WINDOW_MINUTES": "1"}, short_windows),
}
"""What is taken of one running system after the other, with its settings."""


async def photograph(up: Up, out: Path, series: Callable[[Field, Camera], Awaitable[None]]) -> None:
    os.environ.update(up.settings())
    async with opened(up) as field, browsing() as browser:
        page = await browser.browser.new_page(viewport=_SIZE)
        await series(field, Camera(TemporalUi(page, field.temporal_ui), out))


def run(out: Path, names: Sequence[str]) -> None:
    for name in names:
        environ, series = SERIES[name]
        with (
            tempfile.TemporaryDirectory(prefix="changeover-") as temporary,
            running_up(Path(temporary) / "up", environ) as up,
        ):
            up.run("seed", "--accounts", str(CUSTOMERS), account=None)
            asyncio.run(photograph(up, out, series))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("series", nargs="*", choices=[*SERIES, []], help="all, if none is named")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    run(arguments.out, arguments.series or list(SERIES))
    leave(0)


if __name__ == "__main__":
    main()
