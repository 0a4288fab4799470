"""The host's own commands: set up, seed, check, run the worker, and the embedded system."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from changeover.settings import DIR_VARIABLE, Settings, embedded_dir, load
from starter.cli import exits

DEFAULT_PORT_BASE = 7233


def _fail(message: str, code: int) -> None:
    click.echo(message, err=True)
    raise SystemExit(code)


@click.command(help="Bring the database up to date, load a catalogue, add addresses to the pool.")
@click.option("--catalogue", type=click.Path(path_type=Path), help="A catalogue file (TOML) to put in force.")
@click.option("--example", is_flag=True, help="Put the shipped example catalogue in force.")
@click.option(
    "--addresses", type=click.File(encoding="utf-8"), help="A file with one address a line, `ip:port`."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def setup(catalogue: Path | None, addresses: Any, *, example: bool, as_json: bool) -> None:
    from changeover.storage.catalogue import CatalogueRefused  # noqa: PLC0415
    from changeover.storage.catalogue_document import CatalogueInvalid  # noqa: PLC0415
    from starter import setup as work  # noqa: PLC0415

    settings = load(Settings)
    file = work.EXAMPLE if example else catalogue
    try:
        lines = addresses.read().splitlines() if addresses else []
        done = asyncio.run(work.set_up(settings.database_url, file, lines))
    except UnicodeDecodeError:
        _fail(f"{addresses.name}: this is no text in UTF-8", exits.USAGE)
    except (CatalogueInvalid, CatalogueRefused) as wrong:
        _fail(str(wrong), exits.USAGE)
    except work.AddressesInvalid as wrong:
        _fail(f"{addresses.name}: {wrong}", exits.USAGE)
    if as_json:
        click.echo(json.dumps(done))
        return
    version = done["catalogue_version"]
    click.echo(f"schema {done['schema']}")
    click.echo(f"catalogue version {version} is in force now" if version else "the catalogue is unchanged")
    click.echo(f"{done['addresses_added']} addresses added, {done['free_addresses']} are free")


@click.command(help="Make sample customers, one for every situation, and their servers on the local host.")
@click.option("--accounts", type=click.IntRange(0, 100_000), default=0, help="So many further customers.")
@click.option(
    "--services",
    type=click.IntRange(1, 500_000),
    help="Instead: so many alike customers for a load, each with one service of one server, without files.",
)
@click.option(
    "--files",
    type=click.IntRange(0, 10_000),
    default=0,
    help="With --services: the first so many of their servers get files.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the customers as JSON.")
def seed(accounts: int, services: int | None, files: int, *, as_json: bool) -> None:
    settings = load(Settings)
    host_dir = os.environ.get("CHANGEOVER_HOST_DIR")
    if host_dir is None:
        _fail("CHANGEOVER_HOST_DIR is not set: where shall the sample servers' files be?", exits.SETTINGS)
    if services is not None:
        click.echo(json.dumps(_seed_load(settings, Path(str(host_dir)), services, files)))
        return
    made = seed_everything(settings, Path(str(host_dir)), accounts)
    if as_json:
        click.echo(json.dumps(made))
        return
    for account in made:
        click.echo(f"{account['email']} ({account['language']}): {account['services'][0]['name']}")


def seed_everything(settings: Settings, host_dir: Path, extra: int) -> list[dict[str, Any]]:
    """Write the sample customers, and have the host's own program make their servers' files."""
    from starter.setup import seed_database  # noqa: PLC0415

    seeded = asyncio.run(seed_database(settings.database_url, extra))
    make_files(host_dir, seeded.servers)
    return seeded.accounts


def _seed_load(settings: Settings, host_dir: Path, services: int, files: int) -> dict[str, int]:
    from starter.seed_many import Customer  # noqa: PLC0415
    from starter.setup import seed_load  # noqa: PLC0415

    made = asyncio.run(seed_load(settings.database_url, services))
    with_files = range(1, min(files, services) + 1)
    make_files(host_dir, [server for number in with_files for server in Customer(number=number).on_host()])
    return {"services": services, "made": made, "with_files": len(with_files)}


def make_files(host_dir: Path, servers: list[dict[str, Any]]) -> None:
    command = [sys.executable, "-m", "changeover.hosts.sample", "--host-dir", str(host_dir)]
    subprocess.run(  # noqa: S603 - our own module
        command, input=json.dumps(servers), text=True, check=True, stdout=subprocess.DEVNULL
    )


@click.command(help="Run a worker until it is told to stop (SIGTERM or Ctrl-C).")
@click.option("--json", is_flag=True, help="Nothing more: what it logs is JSON by CHANGEOVER_LOG_FORMAT.")
def worker(*, json: bool) -> None:
    os.execv(sys.executable, [sys.executable, "-m", "worker"])  # noqa: S606 - our own module


@click.command(
    help="Run the embedded system until Ctrl-C: Temporal, mail catcher, worker, API, panel, customers."
)
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Its folder; `var` by default.")
@click.option(
    "--port-base",
    type=click.IntRange(1024, 65_000),
    default=DEFAULT_PORT_BASE,
    show_default=True,
    help="First of the ports it listens on.",
)
@click.option("--accounts", type=click.IntRange(0, 100_000), default=0, help="So many further customers.")
@click.option("--json", "as_json", is_flag=True, help="Print up.json on one line when it is ready, no more.")
def up(folder: Path | None, port_base: int, accounts: int, *, as_json: bool) -> None:
    from starter.embedded.processes import ProcessFailed  # noqa: PLC0415
    from starter.embedded.system import Ports, SystemBusy  # noqa: PLC0415

    chosen = folder or embedded_dir()
    os.environ[DIR_VARIABLE] = str(chosen)
    try:
        asyncio.run(_up(chosen, Ports.from_base(port_base), accounts, as_json=as_json))
    except (SystemBusy, ProcessFailed) as trouble:
        _fail(str(trouble), exits.SETTINGS)


async def _up(folder: Path, ports: Any, extra: int, *, as_json: bool) -> None:
    from starter.embedded.situations import stage  # noqa: PLC0415
    from starter.embedded.system import EmbeddedSystem  # noqa: PLC0415
    from starter.plan_changes import PlanChanges  # noqa: PLC0415
    from starter.setup import new_api_key  # noqa: PLC0415

    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    say = partial(click.echo, err=as_json)
    async with EmbeddedSystem(folder, ports, say, partial(_fill, extra=extra)) as system:
        plans = await PlanChanges.connect()
        await stage(plans, system.mail_dir, system.host_dir)
        await plans.close()
        api_key = system.known_api_key() or await new_api_key(system.database_url, "up")
        written = system.write_up_file(system.accounts, api_key)
        click.echo(json.dumps(written) if as_json else _first_steps(system, system.accounts))
        keeping = asyncio.create_task(system.keep_worker())
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait([keeping, stop], return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            await keeping
        keeping.cancel()
        say("stopping; what is open goes on at the next start")


async def _fill(system: Any, extra: int = 0) -> list[dict[str, Any]]:
    from starter.setup import seed_database  # noqa: PLC0415

    seeded = await seed_database(system.database_url, extra)
    await asyncio.to_thread(make_files, system.host_dir, seeded.servers)
    return seeded.accounts


def _first_steps(system: Any, accounts: list[dict[str, Any]]) -> str:
    from starter.embedded.system import UP_FILE  # noqa: PLC0415

    own = "" if system.folder == Path("var").absolute() else f"{DIR_VARIABLE}={system.folder} "
    command = f"{own}{_shown_command()}"
    customer = accounts[0]["email"]
    return f"""
ready
  panel         {system.panel_url}
  caught mail   {system.mail_dir.as_uri()}
  Temporal UI   {system.temporal_ui_url}

{system.folder / UP_FILE} says all that a client needs, the REST API ({system.api_url}) and its key included.

In another terminal, as the customer {customer}:
  {command} services --account {customer}
  {command} mark server-3 --account {customer}
  {command} quote --slots 24 --account {customer}
  {command} request --slots 24 --account {customer}
  {command} code XXXX-XXXX --account {customer}
  {command} watch --account {customer}

Ctrl-C stops everything; the next start goes on where it was."""


def _shown_command() -> str:
    """Return how the command is called from where the user is."""
    command = Path(sys.argv[0])
    try:
        return str(command.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(command) if command.is_absolute() else "changeover"


@click.command(help="Show one real plan change from quote to receipts, in a temporary folder, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per step.")
@click.option("--keep", is_flag=True, help="Keep the temporary folder.")
def demo(*, as_json: bool, keep: bool) -> None:
    from starter.demo import DemoFailed  # noqa: PLC0415
    from starter.embedded.processes import ProcessFailed  # noqa: PLC0415

    for name in [name for name in os.environ if name.startswith(("CHANGEOVER_", "TEMPORAL_"))]:
        del os.environ[name]  # the demo is its own system, whatever else is set
    folder = Path(tempfile.mkdtemp(prefix="changeover-demo-"))
    try:
        asyncio.run(_demo(folder, as_json=as_json))
    except (DemoFailed, ProcessFailed) as trouble:
        _fail(f"the demo failed: {trouble}", exits.REFUSED)
    finally:
        if keep:
            click.echo(f"kept: {folder}", err=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def _demo(folder: Path, *, as_json: bool) -> None:
    import httpx  # noqa: PLC0415

    from starter.demo import Demo  # noqa: PLC0415
    from starter.embedded.system import EmbeddedSystem, Ports  # noqa: PLC0415
    from starter.setup import new_api_key  # noqa: PLC0415

    def tell(step: str, sentence: str, figures: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps({"step": step, "message": sentence} | figures, default=_plain))
        else:
            click.echo(f"{step:>12}  {sentence}")

    async with EmbeddedSystem(folder, Ports.free(), lambda text: tell("start", text, {}), _fill) as system:
        tell("ready", "Temporal, database, mail catcher, worker and REST API are up", {"folder": str(folder)})
        key = await new_api_key(system.database_url, "demo")
        headers = {"Authorization": f"Bearer {key}", "X-Account-Id": system.accounts[0]["id"]}
        async with httpx.AsyncClient(base_url=system.api_url, headers=headers, timeout=60) as client:
            await Demo(client, system.mail_dir, system.host_dir, tell).run()
    tell("done", "the whole change was real; its servers, mails and database were in a temporary folder", {})


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
