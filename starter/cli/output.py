"""Where an answer goes: JSON or screens to stdout, what went wrong to stderr. Colours at terminals only."""

import json
import sys
from collections.abc import Mapping
from typing import Any
from unicodedata import category

from rich.console import Console, RenderableType

_WIDE = 200


class Output:
    """One command's stdout, as `--json` says."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = console_on(sys.stdout)

    def show(self, shape: Mapping[str, Any], *screens: RenderableType) -> None:
        """Print the one JSON object, or the screens."""
        if self.as_json:
            self.line(shape, indent=2)
            return
        for screen in screens:
            self.console.print(screen)

    def line(self, shape: Mapping[str, Any], indent: int | None = None) -> None:
        sys.stdout.write(json.dumps(shape, indent=indent) + "\n")
        sys.stdout.flush()


def console_on(stream: Any) -> Console:
    """Return a console that takes text as it is; wide where no terminal sets the width."""
    width = None if stream.isatty() else _WIDE
    return Console(
        file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=width is not None
    )


def safe(text: str) -> str:
    """Return a name that somebody chose, without what a terminal would take for a command."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if category(c)[0] == "C" or c in "\u2028\u2029" else c for c in text
    )
