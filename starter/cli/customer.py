"""The commands of a customer. Only their options: what they do is in the two sessions."""

import click

from starter.cli.options import (
    Wanted,
    change_argument,
    configuration_options,
    customer_options,
    service_argument,
)
from starter.cli.state import State, pass_state


@click.command()
@customer_options
@service_argument
@pass_state
def services(state: State, service: str | None) -> None:
    """Show what you rent: configuration, days left, servers, open change."""
    state.customer(lambda it: it.services(service))


@click.command()
@customer_options
@service_argument
@pass_state
def offers(state: State, service: str | None) -> None:
    """Show the offers that the service can change to, with their prices for 30 days."""
    state.customer(lambda it: it.offers(service))


@click.command()
@customer_options
@configuration_options
@service_argument
@pass_state
def quote(state: State, service: str | None, wanted: Wanted) -> None:
    """Work out what a change would do, with everything that stands in its way (then exit code 1).

    What isn't given stays as it is. Nothing is changed.
    """
    state.customer(lambda it: it.quote(service, wanted))


@click.command()
@customer_options
@click.argument("servers", nargs=-1, required=True)
@click.option("--service", help="The service, by id or name.")
@pass_state
def mark(state: State, servers: tuple[str, ...], service: str | None) -> None:
    """Mark servers for deletion. Nothing is destroyed before a change is confirmed."""
    state.customer(lambda it: it.mark(service, servers, marked=True))


@click.command()
@customer_options
@click.argument("servers", nargs=-1, required=True)
@click.option("--service", help="The service, by id or name.")
@pass_state
def unmark(state: State, servers: tuple[str, ...], service: str | None) -> None:
    """Take the marks of servers back."""
    state.customer(lambda it: it.mark(service, servers, marked=False))


@click.command()
@customer_options
@configuration_options
@service_argument
@click.option("--yes", is_flag=True, help="Confirm what the quote says: no refund, and what is destroyed.")
@click.option("--digest", help="Insist on an earlier quote: refuse if another would be confirmed.")
@click.option("--key", help="Idempotency key; the same again asks for nothing new. By default a new one.")
@pass_state
def request(
    state: State, service: str | None, wanted: Wanted, *, yes: bool, digest: str | None, key: str | None
) -> None:
    """Ask for a change. It shows what will happen and asks; then a code is mailed, to be typed by `code`.

    What isn't given stays as it is.
    """
    state.change(lambda it: it.request(service, wanted, yes=yes, digest=digest, key=key))


@click.command()
@customer_options
@click.argument("letters", nargs=-1, required=True, metavar="CODE")
@click.option("--change", help="The change, by id. By default the one that is open.")
@pass_state
def code(state: State, letters: tuple[str, ...], change: str | None) -> None:
    """Confirm a change with the code that was mailed. Case, spaces and dashes don't matter."""
    state.change(lambda it: it.code(change, " ".join(letters)))


@click.command()
@customer_options
@change_argument
@pass_state
def resend(state: State, change: str | None) -> None:
    """Have a new code mailed; it voids the one before."""
    state.change(lambda it: it.resend(change))


@click.command()
@customer_options
@change_argument
@pass_state
def cancel(state: State, change: str | None) -> None:
    """Give up a change that isn't confirmed yet."""
    state.change(lambda it: it.cancel(change))


@click.command()
@customer_options
@change_argument
@pass_state
def status(state: State, change: str | None) -> None:
    """Show where a change stands, with its timeline and receipts."""
    state.customer(lambda it: it.status(change))


@click.command()
@customer_options
@change_argument
@pass_state
def watch(state: State, change: str | None) -> None:
    """Follow a change until it is closed. With --json, one object a line."""
    state.customer(lambda it: it.watch(change))


@click.command()
@customer_options
@service_argument
@pass_state
def history(state: State, service: str | None) -> None:
    """Show the changes of a service, newest first."""
    state.customer(lambda it: it.history(service))


@click.command()
@customer_options
@service_argument
@click.option("--days", type=int, required=True, metavar="N", help="Days to add, 1 to 3650.")
@click.option("--key", help="Idempotency key; the same again adds nothing. By default a new one.")
@pass_state
def renew(state: State, service: str | None, days: int, key: str | None) -> None:
    """Add days to the later of now and the expiry."""
    state.customer(lambda it: it.renew(service, days, key=key))
