"""The commands of operators: `changeover ops ...`. What they do is in `operator_session`."""

import getpass
from typing import Any

import click

from starter.cli.options import common_options
from starter.cli.state import State, pass_state

_STAGES = (
    "rejected",
    "awaiting_code",
    "abandoned",
    "committed",
    "applying",
    "needs_attention",
    "completed",
)


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


_change = click.argument("change")
_server = click.option("--server", help="Only this server, by id or name.")
_actor = click.option(
    "--by", "--actor", "actor", default=_me, show_default="your user name", help="Who decides, for the trail."
)


@click.group()
def ops() -> None:
    """Find, inspect and repair plan changes, over all accounts. Changes are named by id or its beginning."""


@ops.command("list")
@common_options
@click.option("--stage", type=click.Choice(_STAGES), help="Only changes in this stage.")
@click.option("--service", help="Only changes of this service, by its id.")
@click.option("--account", help="Only changes of this account, by its id.")
@click.option("--open", "is_open", is_flag=True, help="Only changes that are not closed.")
@click.option("--needs-attention", is_flag=True, help="Only changes that wait for an operator.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@pass_state
def list_(state: State, /, **wanted: Any) -> None:
    """List changes, newest first."""
    state.operator(lambda it: it.list(**wanted))


@ops.command()
@common_options
@_change
@pass_state
def show(state: State, change: str) -> None:
    """Show all of a change: what was done and what is left, problems, receipts, trail, runs in Temporal."""
    state.operator(lambda it: it.show(change))


@ops.command()
@common_options
@_change
@_server
@_actor
@pass_state
def retry(state: State, change: str, server: str | None, actor: str) -> None:
    """Have what keeps failing tried again, after its cause was mended."""
    state.operator(lambda it: it.retry(change, server, actor=actor))


@ops.command()
@common_options
@_change
@click.option("--reason", required=True, help="Why it is skipped; kept in the trail and the receipt.")
@click.option("--evidence", help="What proves that the deletion was done otherwise.")
@_server
@_actor
@pass_state
def skip(  # noqa: PLR0917 - what click passes, by name
    state: State, change: str, reason: str, evidence: str | None, server: str | None, actor: str
) -> None:
    """Go on without the step that keeps failing.

    A deletion skipped without evidence keeps its address back until `changeover ops evidence` frees it.
    """
    state.operator(lambda it: it.skip(change, reason, evidence, server, actor=actor))


@ops.command()
@common_options
@_change
@_actor
@pass_state
def cancel(state: State, change: str, actor: str) -> None:
    """Give up a change that isn't confirmed yet. A confirmed one can't be undone."""
    state.operator(lambda it: it.cancel(change, actor=actor))


@ops.command()
@common_options
@click.argument("server")
@click.option("--evidence", required=True, help="What proves that the server is gone; kept in the trail.")
@_actor
@pass_state
def evidence(state: State, server: str, evidence: str, actor: str) -> None:
    """Record that a server whose deletion was skipped is gone, which frees its address.

    SERVER is its id or the beginning of it. Also long after the change has ended.
    """
    state.operator(lambda it: it.evidence(server, evidence, actor=actor))


@ops.command()
@common_options
@click.argument("account")
@_actor
@click.option("--yes", is_flag=True, help="Don't ask; needed with --json.")
@pass_state
def forget(state: State, account: str, actor: str, *, yes: bool) -> None:
    """Remove the data of the person behind ACCOUNT (its id or e-mail address); the trail stays without it.

    Refused while one of the account's services is not expired, or a change of it is open.
    """
    if state.json and not yes:
        raise click.UsageError("--json asks no question: add --yes to forget the account")
    state.operator(lambda it: it.forget(account, actor=actor, sure=yes))


@ops.command()
@common_options
@click.option("--dry-run", is_flag=True, help="Only say what would be healed; change nothing.")
@pass_state
def reconcile(state: State, *, dry_run: bool) -> None:
    """Look now for what should never be; heal what is certain, and list what needs attention.

    Ends with 1 when something needs attention or a check could not be made.
    """
    state.operator(lambda it: it.reconcile(dry_run=dry_run))


@ops.command()
@common_options
@pass_state
def findings(state: State) -> None:
    """List what the reconciler's looks have found that needs attention."""
    state.operator(lambda it: it.findings())
