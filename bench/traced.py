"""`python -m bench.traced FILE MODULE`: run a program, write down every statement that it executes."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event


def write_statements(file: Path) -> None:
    """From now on, append each statement of this process to `file`, a JSON string a line."""
    written = file.open("a", encoding="utf-8", buffering=1)

    @event.listens_for(Engine, "before_cursor_execute")
    def note(
        _connection: Connection, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool
    ) -> None:
        written.write(json.dumps(" ".join(statement.split())) + "\n")


if __name__ == "__main__":
    write_statements(Path(sys.argv[1]))
    module = sys.argv[2]
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
