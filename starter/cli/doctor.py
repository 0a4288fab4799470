"""`changeover doctor`: how everything around is, and what to do about what isn't well."""

import asyncio
import json
from typing import Final

import click

from starter.cli import exits
from starter.texts import LANGUAGES

_COLOURS: Final = {"ok": "green", "warning": "yellow", "wrong": "red"}
_WIDTH: Final = 8


@click.command(
    help="Check settings, database, catalogue, addresses, Temporal, workers, keys, host, mail and clocks. "
    "Ends with 0 when nothing is wrong (warnings are no wrongs), else with 5."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per check.")
@click.option("--send-to", metavar="ADDRESS", help="Also send a real test mail to this address.")
@click.option(
    "--lang", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Language of that mail."
)
def doctor(*, as_json: bool, send_to: str | None, lang: str) -> None:
    from starter.doctor.examination import examined  # noqa: PLC0415

    findings = asyncio.run(examined(send_to=send_to, language=lang))
    for finding in findings:
        if as_json:
            click.echo(json.dumps(finding.record))
            continue
        status = finding.verdict.status.value
        shown = click.style(status.ljust(_WIDTH), fg=_COLOURS[status])
        click.echo(f"{shown}{finding.check}: {finding.verdict.message}")
        if finding.verdict.advice:
            click.echo(f"{' ' * _WIDTH}-> {finding.verdict.advice}")
    raise SystemExit(exits.SETTINGS if any(finding.is_wrong for finding in findings) else exits.OK)
