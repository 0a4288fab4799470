"""What one call of the command line carries with it. Light: `--help` needs no more than this and click."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from starter.texts import LANGUAGES, Texts

if TYPE_CHECKING:
    from starter.cli.changing_session import ChangingSession
    from starter.cli.customer_session import CustomerSession
    from starter.cli.operator_session import OperatorSession

ACCOUNT_VARIABLE = "CHANGEOVER_ACCOUNT"


def language_of_environment() -> str:
    """Return the language of the terminal, for what is said before the account is known."""
    names = (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    language = next((name for name in names if name), "")[:2].lower()
    return language if language in LANGUAGES else "en"


@dataclass(kw_only=True)
class State:
    """`language` is set by `--lang` and stands above the account's. `key` is told with a failure."""

    debug: bool = False
    json: bool = False
    language: str | None = None
    account: str | None = None
    account_named: bool = False
    key: str | None = None
    texts: Texts = field(default_factory=lambda: Texts(language_of_environment()))

    def customer(self, action: "Callable[[CustomerSession], Awaitable[int]]") -> None:
        """Do for the customer what needs no engine, and end with its exit code."""
        from starter.cli import customer_session  # noqa: PLC0415 - heavy: `--help` stays fast without

        end(customer_session.run(self, action))

    def change(self, action: "Callable[[ChangingSession], Awaitable[int]]") -> None:
        """Change a plan for the customer, and end with its exit code."""
        from starter.cli import changing_session  # noqa: PLC0415 - heavy, and a quote needs no engine

        end(changing_session.run(self, action))

    def operator(self, action: "Callable[[OperatorSession], Awaitable[int]]") -> None:
        """Do something for an operator, and end with its exit code."""
        from starter.cli import operator_session  # noqa: PLC0415 - heavy: `--help` stays fast without

        end(operator_session.run(self, action))


def end(code: int) -> None:
    click.get_current_context().exit(code)


pass_state = click.make_pass_decorator(State, ensure=True)
