"""The runbook as a program: the `sh` blocks of its sections, with the capitals filled in."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs/operations"
_CODE = re.compile(r"\s+# ends with (\d+)$")
_TO_FILL_IN = re.compile(r"\b[A-Z]{3,}\b")


@dataclass(frozen=True)
class Command:
    """A line to type, and the exit code that the page promises."""

    line: str
    code: int

    def filled_in(self, words: Mapping[str, str]) -> str:
        """Return the line for this trouble. Raises `KeyError` for a word that nobody gave."""
        return _TO_FILL_IN.sub(
            lambda found: found[0] if found[0] in {"AND", "IN"} else words[found[0]], self.line
        )


def sections(page: str) -> dict[str, list[Command]]:
    """Return the commands of each section of a page, by its heading."""
    found: dict[str, list[Command]] = {}
    heading = ""
    inside = False
    for line in (PAGES / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not inside:
            heading = line.lstrip("# ")
        elif line.startswith("```"):
            inside = line == "```sh"
        elif inside:
            code = _CODE.search(line)
            command = Command(_CODE.sub("", line), int(code[1]) if code else 0)
            assert shlex.split(command.line)[0] in {"changeover", "temporal"}, line
            found.setdefault(heading, []).append(command)
    return found


def saved_views() -> dict[str, str]:
    """Return the queries that operators are told to save, by the name of the view."""
    text = (PAGES / "README.md").read_text(encoding="utf-8").split("## Views to save")[1]
    return dict(re.findall(r"^\| ([^|]+?) \| `(.+)` \|$", text, re.MULTILINE))
