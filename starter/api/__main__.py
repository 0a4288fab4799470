"""`python -m starter.api`: API and panel as a process; it says `api_url` in a line of JSON when ready."""

import argparse
import asyncio
import logging
import os
import sys
from typing import NoReturn

from pydantic import ValidationError
from starlette.types import ASGIApp

from changeover import failpoints
from changeover.settings import Settings, SettingsUnreadable, mistakes
from changeover.telemetry.tracing import TracingMissing
from starter.api.serving import PortTaken, serve
from starter.panel import create_panel
from starter.plan_changes import PlanChanges
from starter.process import leave

_CANNOT_START = 5

_log = logging.getLogger("changeover.api")


def _panel(plans: PlanChanges, settings: Settings) -> ASGIApp:
    """Return the panel beside the API; in the embedded system anyone may come in as a sample customer."""
    return create_panel(
        plans, demo_accounts=settings.embedded, secure_cookies=not settings.embedded, zone=settings.zone
    )


def main() -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m starter.api", description="Changeover's REST API.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on; 0 takes a free one")
    options = parser.parse_args()
    try:
        if armed := failpoints.arm(os.environ):
            _log.warning("failpoints are armed, this process is to fail: %s", ", ".join(armed))
        asyncio.run(serve(options.host, options.port, with_panel=_panel))
    except (PortTaken, SettingsUnreadable, TracingMissing, failpoints.FailpointsInvalid) as wrong:
        sys.stderr.write(f"the API can't start: {wrong}\n")
        leave(_CANNOT_START)
    except ValidationError as wrong:
        for mistake in mistakes(wrong):
            sys.stderr.write(f"the API can't start: {mistake}\n")
        leave(_CANNOT_START)
    leave(0)


if __name__ == "__main__":
    main()
