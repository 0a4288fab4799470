"""A group whose commands are imported when they are called: `--help` reads this table and imports nothing."""

from collections.abc import Mapping
from importlib import import_module

import click

from starter.cli.state import State

CUSTOMER = {
    "services": "What you rent, with its servers, days left and open change.",
    "offers": "What a service can change to.",
    "quote": "Work out what a change would do; nothing is changed.",
    "mark": "Mark servers for deletion; nothing is destroyed before a change is confirmed.",
    "unmark": "Take marks back.",
    "request": "Ask for a change: a code is mailed to confirm it.",
    "code": "Confirm a change with the mailed code.",
    "resend": "Have a new code mailed; it voids the one before.",
    "cancel": "Give up a change that is not confirmed yet.",
    "status": "Where a change stands, with its timeline and receipts.",
    "watch": "Follow a change until it is closed.",
    "history": "The changes of a service.",
    "renew": "Add days to a service.",
}
HOST = {
    "ops": "Operators: find, inspect and repair changes.",
    "setup": "Bring the database up to date and load the catalogue.",
    "seed": "Make sample customers to try things with.",
    "doctor": "Check everything around.",
    "worker": "Run the worker.",
    "api": "Run the REST API.",
    "codec-server": "Decode encrypted payloads for the Temporal UI, on this machine.",
    "keys": "Make, list and revoke API keys.",
    "up": "Run the whole system, embedded, until Ctrl-C.",
    "demo": "Make one real plan change, everything embedded.",
}
COMMANDS: Mapping[str, tuple[str, str]] = {
    **{name: ("starter.cli.customer", text) for name, text in CUSTOMER.items()},
    **{name: ("starter.cli.host", text) for name, text in HOST.items()},
    "ops": ("starter.cli.operator", HOST["ops"]),
    "doctor": ("starter.cli.doctor", HOST["doctor"]),
    **{name: ("starter.cli.api", HOST[name]) for name in ("api", "keys")},
    "codec-server": ("starter.cli.codec", HOST["codec-server"]),
}
"""Where each command is, and what `--help` says of it."""


class LazyGroup(click.Group):
    """The `changeover` command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command. One that isn't there in this release is as if it weren't listed."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        return getattr(import_module(module), cmd_name.replace("-", "_"), None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in (("Customers", CUSTOMER), ("The host", HOST)):
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; whatever goes wrong is told, and ends with its exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt, click.Abort) as error:  # noqa: BLE001 - the outermost: it is told
            from starter.cli import failures  # noqa: PLC0415 - only when it is needed

            ctx.exit(failures.tell(error, ctx.ensure_object(State)))
