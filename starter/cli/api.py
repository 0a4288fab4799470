"""The commands about the REST API: run it, and manage who may call it."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TypeVar

import click

from changeover.settings import Settings, load
from changeover.storage.database import Database
from starter.api.keys import ApiKeys, KeyView
from starter.cli.options import common_options
from starter.cli.output import Output, safe
from starter.cli.shapes import plain
from starter.cli.state import State, pass_state

T = TypeVar("T")


@click.command(help="Run the REST API until it is told to stop (SIGTERM or Ctrl-C).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--json", is_flag=True, help="Nothing more: it prints one JSON line when it is ready, anyway.")
def api(host: str, port: int, *, json: bool) -> None:
    command = [sys.executable, "-m", "starter.api", "--host", host, "--port", str(port)]
    os.execv(sys.executable, command)  # noqa: S606 - our own module


@click.group()
def keys() -> None:
    """Make, list and revoke API keys: who has one may act for every customer."""


@keys.command()
@click.argument("name")
@common_options
@pass_state
def create(state: State, name: str) -> None:
    """Make a key and show it, this once. NAME says whose it is."""
    made = _with_keys(lambda its: its.create(name))
    if state.json:
        _print_json(made)
        return
    click.echo(made.key)
    click.echo(f"key {made.id} for {safe(made.name)}; it is not shown again", err=True)


@keys.command("list")
@common_options
@pass_state
def list_(state: State) -> None:
    """List the keys, without their secrets."""
    found = _with_keys(lambda its: its.list())
    if state.json:
        Output(as_json=True).show({"keys": [_plain(key) for key in found]})
        return
    for key in found:
        end = f"revoked {key.revoked_at:%Y-%m-%d %H:%M} UTC" if key.revoked_at else "good"
        click.echo(f"{key.id}  {key.created_at:%Y-%m-%d %H:%M} UTC  {end}  {safe(key.name)}")


@keys.command()
@click.argument("key_id", metavar="ID")
@common_options
@pass_state
def revoke(state: State, key_id: str) -> None:
    """Refuse a key from now on."""
    revoked = _with_keys(lambda its: its.revoke(key_id))
    if state.json:
        _print_json(revoked)
    else:
        click.echo(f"key {revoked.id} of {safe(revoked.name)} is revoked")


def _with_keys(action: Callable[[ApiKeys], Awaitable[T]]) -> T:
    return asyncio.run(_act(action))


async def _act(action: Callable[[ApiKeys], Awaitable[T]]) -> T:
    settings = load(Settings)
    database = Database(settings.database_url)
    try:
        return await action(ApiKeys(database))
    finally:
        await database.close()


def _plain(key: KeyView) -> dict[str, object]:
    shape: dict[str, object] = plain(asdict(key))
    return shape


def _print_json(key: KeyView) -> None:
    Output(as_json=True).show(_plain(key))
