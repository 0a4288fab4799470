"""How our processes end.

A short-lived process that used a Temporal client aborts at interpreter exit about once in five
(temporalio/sdk-python issue 300): every entry point leaves through here instead.
"""

import atexit
import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """Run the exit handlers, flush everything and end the process with `code`."""
    atexit._run_exitfuncs()  # noqa: SLF001 - what the interpreter would run first, too
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
