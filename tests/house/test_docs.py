"""The documents say what the code does."""

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from changeover.domain.problems import BLOCKERS
from changeover.settings import Settings, WorkerSettings
from starter.cli.exits import EXIT_CODES

ROOT = Path(__file__).parents[2]


def rows(page: str, least: int = 3) -> dict[str, list[str]]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()]
    return {row[0].strip("` |"): row for row in cells if len(row) >= least}


@pytest.mark.parametrize("name", sorted(WorkerSettings.model_fields))
def test_every_setting_is_explained_with_its_default(name: str) -> None:
    field = WorkerSettings.model_fields[name]
    row = rows("configuration.md")[f"CHANGEOVER_{name.upper()}"]
    required = field.default is PydanticUndefined
    assert row[1] == (
        "(required)" if required else "(none)" if field.default is None else f"`{field.default}`"
    )
    assert row[2].strip(" |") == field.description


def test_no_setting_is_explained_that_does_not_exist() -> None:
    explained = {name for name in rows("configuration.md") if name.startswith("CHANGEOVER_")}
    assert explained == {f"CHANGEOVER_{name.upper()}" for name in WorkerSettings.model_fields}
    assert Settings.model_fields.keys() <= WorkerSettings.model_fields.keys()


def test_every_blocker_leads_to_its_rule() -> None:
    source = (ROOT / "changeover/domain/quote.py").read_text(encoding="utf-8")
    explained = rows("rules.md")
    for blocker in BLOCKERS:
        function = "_" + blocker.code.replace("-", "_")
        assert explained[blocker.code][2] == f"`{function}`"
        assert f"def {function}(" in source


def test_every_exit_code_is_explained() -> None:
    explained = rows("cli.md", least=2)
    assert {code: explained[str(code)][1].strip(" |") for code in EXIT_CODES} == EXIT_CODES


def test_every_link_in_the_documents_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_picture_of_the_runbook_stands_in_a_page() -> None:
    folder = ROOT / "docs/operations"
    pages = "".join(page.read_text(encoding="utf-8") for page in folder.glob("*.md"))
    named = set(re.findall(r"\(screenshots/([\w-]+\.png)\)", pages))
    assert {picture.name for picture in (folder / "screenshots").iterdir()} == named


def test_every_path_that_the_readme_names_is_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index("| you look for") :]
    for path in re.findall(r"`([a-z_./]+(?:\.py|\.toml|/))`", table):
        assert (ROOT / path).exists(), path


def test_every_decision_has_a_number_of_its_own_and_stands_in_the_index() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    listed = []
    for number, page in enumerate(pages, start=1):
        heading = page.read_text(encoding="utf-8").splitlines()[0]
        assert page.name.startswith(f"{number:04}-"), page.name
        assert heading.startswith(f"# {number}. "), f"{page.name}: {heading}"
        listed.append(f"{number}. [{heading.removeprefix(f'# {number}. ')}]({page.name})")
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\d+\. .*$", index, re.MULTILINE) == listed
