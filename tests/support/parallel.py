"""How tests are shared out to pytest-xdist's workers: what starts one system stays together."""

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

TOGETHER = {
    "tests/starter/panel/test_stories.py": "the panel in a browser",
    "tests/starter/panel/test_for_everyone.py": "the panel in a browser",
    "tests/starter/panel/test_older_browser.py": "the panel in a browser",
}
"""Files of one fixture that is dear to start. Every other file is alone: its tests share a fixture, or an
order, or nothing."""

LONGEST_FIRST = (
    "tests/e2e/test_rotation.py",  # starts more than twenty processes, one after the other
    "tests/starter/panel/test_window.py",  # waits a minute of real time
    "tests/starter/panel/test_stories.py",
    "tests/starter/panel/test_for_everyone.py",
    "tests/faults/",
    "tests/bench/test_quick.py",
    "tests/operations/",
    "tests/e2e/",
    "tests/starter/api/test_story.py",
    "tests/deploy/",
    "tests/workflows/",
)
"""So that no worker begins with the longest when the others have ended."""


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """One file at a time to each worker, or what `TOGETHER` keeps together."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return TOGETHER.get(file, file)


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in the order of a parallel run; files of one rank keep their places."""

    def rank(item: pytest.Item) -> int:
        ranks = (rank for rank, start in enumerate(LONGEST_FIRST) if item.nodeid.startswith(start))
        return next(ranks, len(LONGEST_FIRST))

    return sorted(items, key=rank)
