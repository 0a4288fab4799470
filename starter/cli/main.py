"""The `changeover` command. `main` is its entry point, and always ends the process itself."""

import gc
import os
import sys
from typing import NoReturn

import click

from starter.cli.exits import EXIT_CODES, INTERRUPTED
from starter.cli.lazy import LazyGroup
from starter.cli.state import ACCOUNT_VARIABLE, State, pass_state
from starter.process import leave

_LITTLE_GARBAGE = 50_000
"""Objects between two looks for garbage. Imports make many and no garbage: a seventh of their time saved."""

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:3}  {text}" for code, text in EXIT_CODES.items())


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@pass_state
def cli(state: State, *, debug: bool) -> None:
    """Change the plan of a game server: durable, confirmed by an e-mailed code.

    Services, servers and changes are named by their id, by its first characters (at least 4), or by
    their name; with one service or one open change, naming it is optional.
    """
    state.debug = debug
    state.account = os.environ.get(ACCOUNT_VARIABLE)


def main() -> NoReturn:
    """Run the command line of this process."""
    gc.set_threshold(_LITTLE_GARBAGE)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # or it looks through all that is installed
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    code: object = 0
    try:
        cli.main(prog_name="changeover")
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    leave(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    main()
