"""What went wrong, told once: a problem in the reader's language, its exit code, and no traceback unasked."""

import sys
import traceback
from asyncio import CancelledError
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Group, RenderableType
from rich.text import Text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from changeover.domain.problems import EngineUnavailable, Problem
from changeover.settings import SettingsUnreadable, mistakes
from changeover.storage.catalogue import CatalogueMissing
from starter.cli import exits, shapes
from starter.cli.naming import Misused
from starter.cli.output import Output, console_on, safe
from starter.cli.state import State
from starter.operator_refusals import NothingWaits, RunGone
from starter.texts import Texts


def tell(error: BaseException, state: State) -> int:
    """Tell what went wrong, as JSON on stdout or in words on stderr; return the exit code."""
    if state.debug:
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt | click.Abort | CancelledError):
        return exits.INTERRUPTED
    code, shape, screen = _described(error, state.texts)
    if isinstance(error, EngineUnavailable) and state.key is not None:
        shape["idempotency_key"] = state.key
    if state.json:
        Output(as_json=True).line(shape, indent=2)
    else:
        console_on(sys.stderr).print(screen)
    return code


def problems_screen(problems: tuple[Problem, ...], texts: Texts) -> RenderableType:
    """Return refusals with what to do about each."""
    lines = []
    for problem in problems:
        title, advice = texts.problem(problem)
        lines += [Text(f"✗ {safe(title)}", style="bold red"), Text(f"  {safe(advice)}")]
    return Group(*lines)


def _described(error: BaseException, texts: Texts) -> tuple[int, dict[str, Any], RenderableType]:
    if isinstance(error, Problem):
        screen = problems_screen(error.blockers or (error,), texts)
        return exits.of_problem(error.code), shapes.problem(error, texts), screen
    code, kind, lines = _other(error, texts)
    screen = Group(
        Text(f"✗ {safe(lines[0])}", style="bold red"), *(Text(f"  {safe(line)}") for line in lines[1:])
    )
    return code, {"type": kind, "title": lines[0], "advice": "\n".join(lines[1:])}, screen


def _other(error: BaseException, texts: Texts) -> tuple[int, str, list[str]]:
    """Return exit code, type and lines of what isn't a problem of the domain."""
    t = texts
    match error:
        case Misused():
            told = exits.USAGE, "request-invalid", [str(error)]
        case NothingWaits():
            look = t._("`changeover ops show` says where the change stands, and what is at work.")
            told = exits.REFUSED, error.code, [t._("Nothing waits for an operator here."), look]
        case RunGone():
            gone = t._("The workflow {id} has ended or was terminated.", id=error.workflow_id)
            advice = t._(
                "`changeover ops reconcile` starts what was committed again, and closes what was not."
            )
            told = exits.REFUSED, error.code, [gone, advice]
        case ValidationError():
            told = exits.SETTINGS, "settings-invalid", [t._("Settings are wrong:"), *mistakes(error)]
        case SettingsUnreadable():
            told = exits.SETTINGS, "embedded-missing", [t._("Nothing is set up here."), str(error)]
        case CatalogueMissing():
            told = exits.SETTINGS, "catalogue-missing", [t._("No catalogue is loaded."), "changeover setup"]
        case SQLAlchemyError() | OSError():
            away = t._("The database cannot be used.")
            check = t._("Check CHANGEOVER_DATABASE_URL, and whether `changeover setup` was run.")
            told = exits.SETTINGS, "database-unavailable", [away, _first_line(error), check]
        case _:
            defect = t._("A defect of Changeover: {error}", error=f"{type(error).__name__}: {error}")
            told = exits.DEFECT, "defect", [defect, t._("With --debug the traceback is shown.")]
    return told


def _first_line(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
