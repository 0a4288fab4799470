"""Options that commands share. They are kept in the call's `State`, not passed to the command."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click

from starter.cli.state import ACCOUNT_VARIABLE, State
from starter.texts import LANGUAGES, Texts

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be changed of a configuration; what is None stays as it is."""

    offer: str | None
    slots: int | None
    servers: int | None
    add: tuple[str, ...]
    drop: tuple[str, ...]


def _keep_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    context.ensure_object(State).json = value


def _keep_language(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        state = context.ensure_object(State)
        state.language = value
        state.texts = Texts(value)


def _keep_account(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        state = context.ensure_object(State)
        state.account = value
        state.account_named = True


def common_options(command: F) -> F:
    """Add `--json` and `--lang`, which every command has."""
    for option in (
        click.option(
            "--json", is_flag=True, expose_value=False, callback=_keep_json, help="Print JSON to stdout."
        ),
        click.option(
            "--lang",
            type=click.Choice(LANGUAGES),
            expose_value=False,
            callback=_keep_language,
            help="Language of texts, instead of the account's (operators: the terminal's).",
        ),
    ):
        command = option(command)
    return command


def customer_options(command: F) -> F:
    """Add what every command of a customer has."""
    account = click.option(
        "--account",
        metavar="EMAIL_OR_ID",
        expose_value=False,
        callback=_keep_account,
        help=f"The customer to act for; by default {ACCOUNT_VARIABLE} of the environment.",
    )
    return account(common_options(command))


def configuration_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that describe a configuration, passed as `wanted`."""

    @wraps(command)
    def with_wanted(
        *arguments: Any,
        offer: str | None,
        slots: int | None,
        servers: int | None,
        option: tuple[str, ...],
        no_option: tuple[str, ...],
        **others: Any,
    ) -> Any:
        wanted = Wanted(offer=offer, slots=slots, servers=servers, add=option, drop=no_option)
        return command(*arguments, wanted=wanted, **others)

    decorated: Callable[..., Any] = with_wanted
    for declared in (
        click.option("--no-option", multiple=True, metavar="CODE", help="An option to give up; repeatable."),
        click.option("--option", multiple=True, metavar="CODE", help="An option to add; repeatable."),
        click.option(
            "--servers",
            type=int,
            metavar="N",
            help="Number of servers. With servers marked for deletion, the number kept is meant by itself.",
        ),
        click.option("--slots", type=int, metavar="N", help="Slots of each server."),
        click.option("--offer", metavar="CODE", help="The offer to change to."),
    ):
        decorated = declared(decorated)
    return decorated


service_argument = click.argument("service", required=False)
"""A service by id, by the first characters of it, or by name."""

change_argument = click.argument("change", required=False)
"""A change by id, or by the first characters of it."""
