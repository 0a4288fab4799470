"""`python -m tests.operations.screenshots --out docs/operations/screenshots`: the runbook's pictures.

Of a real system in trouble, as an operator meets it in the Temporal UI. `tests/workflows/screenshots.py`
takes a run at every stage.
"""

import argparse
import asyncio
import io
import os
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.async_api import ViewportSize

from starter.process import leave
from tests.e2e.running import running_up
from tests.operations.conftest import CUSTOMERS
from tests.operations.field import Field, opened
from tests.operations.runbook import saved_views
from tests.operations.ui import TemporalUi
from tests.starter.panel.browsing import browsing

_SIZE: ViewportSize = {"width": 1280, "height": 1180}
_COLOURS = 64
_SETTLED_MS = 1500


async def take(ui: TemporalUi, to: Path) -> None:
    """Take what the page shows once it stands still, with few colours: it is for the repository."""
    await ui.page.wait_for_timeout(_SETTLED_MS)
    taken = io.BytesIO(await ui.page.screenshot())
    with Image.open(taken) as picture:
        picture.convert("RGB").quantize(_COLOURS).save(to, optimize=True)
    sys.stdout.write(f"{to}\n")


async def take_all(field: Field, ui: TemporalUi, out: Path) -> None:
    waiting = await field.requested(await field.customer(3), marks=1, slots=4)
    await field.mailed(waiting)
    stuck = await field.stuck_teardown()
    server, service = stuck.words["SERVER"], stuck.words["SERVICE"]
    await ui.view(saved_views()["needs attention"], f"teardown/{server}")
    await take(ui, out / "list.png")
    await ui.open(f"plan-change/{service}")
    await ui.metadata("needs_attention")
    await take(ui, out / "change-needs-attention.png")
    await ui.view(saved_views()["needs attention"], f"teardown/{server}")
    await ui.open(f"teardown/{server}")
    await ui.metadata("Mend the cause")
    await take(ui, out / "teardown-needs-attention.png")
    await ui.fill_in_update("retry", {"change_id": stuck.change_id, "actor": "olga"})
    await take(ui, out / "update.png")
    await ui.view(saved_views()["waiting for codes"], f"plan-change/{waiting.words['SERVICE']}")
    await ui.open(f"plan-change/{waiting.words['SERVICE']}")
    await ui.metadata("awaiting_code")
    await take(ui, out / "awaiting-code.png")
    with field.frozen("changeover.mail.catcher"):
        late = await field.requested(await field.customer(1), slots=4)
        await ui.view(saved_views()["waiting for codes"], f"plan-change/{late.words['SERVICE']}")
        await ui.open(f"plan-change/{late.words['SERVICE']}")
        await ui.tab("Pending Activities")
        await ui.page.get_by_text("send_code").locator("visible=true").first.wait_for()
        await take(ui, out / "pending-mail.png")


async def run(out: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary, running_up(Path(temporary) / "up") as up:
        up.run("seed", "--accounts", str(CUSTOMERS), account=None)
        os.environ.update(up.settings())
        async with opened(up) as field, browsing() as browser:
            page = await browser.browser.new_page(viewport=_SIZE)
            await take_all(field, TemporalUi(page, field.temporal_ui), out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(out))
    leave(0)


if __name__ == "__main__":
    main()
