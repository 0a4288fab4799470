"""What is kept where: the page names every table, and forgetting knows every column that is somebody's."""

import re
from pathlib import Path

from changeover.storage.tables import accounts, metadata

PAGE = Path(__file__).parents[2] / "docs/operations/privacy.md"


def explained() -> set[str]:
    section = PAGE.read_text(encoding="utf-8").split("## The database")[1].split("## Elsewhere")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_the_page_says_of_every_table_what_is_personal_in_it() -> None:
    assert explained() == set(metadata.tables)


def test_every_table_of_an_account_is_said_to_be_kept_or_emptied() -> None:
    """A new table that belongs to an account must be thought of: in `forgetting`, and here."""
    of_accounts = {
        table.name
        for table in metadata.tables.values()
        if any(key.column.table is accounts for key in table.foreign_keys)
    }
    assert of_accounts == {
        *("passes", "services", "plan_changes"),  # kept, without names
        *("idempotency_keys", "panel_links", "panel_sessions"),  # emptied
    }
