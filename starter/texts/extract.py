"""Find the texts in the sources: the literals of `_(...)`, `N_(...)` and `plural(...)`."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TEXTS: Final = {"_": 1, "N_": 1, "plural": 2}
"""How many literal texts a call begins with."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A text and where it stands; `many` is its plural, `msgid` is None when it is no literal."""

    msgid: str | None
    many: str | None
    place: str


def extract(folder: Path) -> list[Found]:
    """Return every text of the Python sources under `folder`, in the order of files and lines."""
    return [
        found
        for path in sorted(folder.rglob("*.py"))
        for found in _texts_of(path.relative_to(folder.parent), path.read_text(encoding="utf-8"))
    ]


def _texts_of(path: Path, source: str) -> Iterator[Found]:
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        wanted = _TEXTS.get(_name(call.func))
        if wanted is None:
            continue
        literals = [
            argument.value
            for argument in call.args[:wanted]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        ]
        complete = len(literals) == wanted
        yield Found(
            msgid=literals[0] if complete else None,
            many=literals[1] if complete and wanted == 2 else None,
            place=f"{path}:{call.lineno}",
        )


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
