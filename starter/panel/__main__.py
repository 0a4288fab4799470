"""`python -m starter.panel --port N`: the panel alone, with the settings of the environment.

It listens on 127.0.0.1, and says so in one line of JSON once it answers. `--demo` lets sample customers in.
"""

import asyncio
import json
import sys
from contextlib import suppress

import click
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from changeover.settings import Settings, load
from changeover.telemetry import logs
from starter.api.guard import Guard
from starter.api.metrics import Metrics
from starter.panel.app import create_panel
from starter.plan_changes import PlanChanges
from starter.process import leave

_HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """Says where it is when it answers."""

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        click.echo(json.dumps({"panel_url": f"http://{_HOST}:{self.config.port}/panel/"}))
        sys.stdout.flush()


def alone(plans: PlanChanges, settings: Settings, *, demo: bool) -> ASGIApp:
    """Return the panel as it is behind the API: what breaks is logged without its message."""
    panel = create_panel(plans, demo_accounts=demo, secure_cookies=not settings.embedded, zone=settings.zone)
    return Guard(Starlette(routes=[Mount("/panel", panel)]), metrics=Metrics())


async def _serve(port: int, *, demo: bool) -> None:
    settings = load(Settings)
    logs.configure(settings.log_format, settings.log_level)
    plans = await PlanChanges.connect(settings)
    config = uvicorn.Config(
        alone(plans, settings, demo=demo),
        host=_HOST,
        port=port,
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
    )
    try:
        await _Server(config).serve()
    finally:
        await plans.close()


@click.command(help="Serve the panel on 127.0.0.1.")
@click.option("--port", type=click.IntRange(1, 65_535), required=True)
@click.option("--demo", is_flag=True, help="Let anyone in as a sample customer.")
def main(port: int, *, demo: bool) -> None:
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(port, demo=demo))


if __name__ == "__main__":
    code: object = 1
    try:
        main()
    except SystemExit as end:
        code = end.code
    finally:
        leave(code if isinstance(code, int) else 0)
