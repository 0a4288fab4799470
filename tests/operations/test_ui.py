"""With the runbook and the Temporal UI alone: a stuck change is found, understood and repaired."""

import json
import re
from collections.abc import AsyncIterator

import pytest

from changeover.domain.teardown import STEPS
from tests.operations.field import Field
from tests.operations.runbook import saved_views
from tests.operations.ui import TemporalUi
from tests.starter.panel.browsing import browsing
from tests.starter.panel.system import chromium


@pytest.fixture
async def ui(field: Field) -> AsyncIterator[TemporalUi]:
    if chromium() is None:
        pytest.skip("no chromium here (apt-get install chromium)")
    async with browsing() as browser:
        page = await browser.browser.new_page(viewport={"width": 1280, "height": 1000})
        yield TemporalUi(page, field.temporal_ui)


async def test_a_stuck_change_is_found_understood_and_repaired_in_the_ui(
    field: Field, ui: TemporalUi
) -> None:
    case = await field.stuck_teardown()
    server, service = case.words["SERVER"], case.words["SERVICE"]
    await ui.view(saved_views()["needs attention"], f"teardown/{server}", f"plan-change/{service}")
    await ui.open(f"plan-change/{service}")
    told = await ui.metadata("needs_attention")
    assert f"Open the run teardown/{server}" in told
    assert "Confirmed and committed" in told
    await ui.view(saved_views()["needs attention"], f"teardown/{server}")
    await ui.open(f"teardown/{server}")
    told = await ui.metadata("Mend the cause on the host")
    assert "is a symbolic link, where a folder is expected" in told
    assert re.search(r"needs attention since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", told)
    assert [step for step in STEPS if f"{step}: " in told] == list(STEPS)
    retry, _ = (json.loads(block) for block in re.findall(r"\{.*?\}", told, re.DOTALL))
    field.mend(field.folder(server) / "backups")
    await ui.fill_in_update("retry", retry | {"actor": "olga"})
    await ui.submit()
    await field.stage(case, "completed")
    assert "olga" in await field.type(f"changeover ops show {case.change_id}")
