"""How our processes settle down to serve, and how they end."""

import atexit
import gc
import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn


def settle() -> None:
    """Leave what was imported and set up out of the garbage collections to come; called once, when ready.

    It is what a full collection walks over: a worker at work stood still for 100 ms every ten seconds, and
    for 10 to 16 ms since.
    """
    gc.collect()
    gc.freeze()


def leave(code: int) -> NoReturn:
    """Run the exit handlers, flush everything and end the process with `code`.

    A short-lived process that used a Temporal client aborts at interpreter exit about once in five
    (temporalio/sdk-python issue 300): every entry point leaves through here instead.
    """
    atexit._run_exitfuncs()  # noqa: SLF001 - what the interpreter would run first, too
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
