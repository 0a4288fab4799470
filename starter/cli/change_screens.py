"""What customers see of a change in the terminal: where it stands, what happened, the history."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from changeover.domain.catalogue import Configuration
from starter.cli.output import safe
from starter.cli.screens import Names, consequences, fact_table, list_table
from starter.texts import Texts
from starter.views import ChangeView, Receipt, TimelineEntry

_STYLES = {
    "awaiting_code": "yellow",
    "needs_attention": "yellow",
    "completed": "green",
    "abandoned": "red",
    "rejected": "red",
}


def stage(view: ChangeView, texts: Texts) -> Text:
    """Return where the change stands, and why when it came to nothing."""
    told = texts.stage(view.stage)
    if view.reason:
        told += f" ({texts.reason(view.reason)}"
        told += f"; {texts.cause(view.cause)})" if view.cause else ")"
    return Text(told, style=_STYLES.get(view.stage, ""))


def change(view: ChangeView, names: Names, texts: Texts) -> RenderableType:
    """Return all that the customer may know of a change."""
    facts = fact_table()
    facts.add_row(texts._("Plan change"), view.id)
    facts.add_row(texts._("Stage"), stage(view, texts))
    facts.add_row(texts._("Requested"), texts.date(view.as_of))
    facts.add_row(
        texts._("Present") if view.committed_at is None else texts._("Before"),
        line(view.before, names, texts),
    )
    facts.add_row(texts._("New"), line(view.after, names, texts))
    if view.new_expires_at is not None:
        facts.add_row(texts._("New expiry"), texts.date(view.new_expires_at))
    if view.days_after is not None:
        facts.add_row(texts._("Days left after it"), texts.number(view.days_after))
    _code(facts, view, texts)
    parts: list[RenderableType] = [facts]
    if view.stage == "awaiting_code":
        parts += consequences(view.destroys, view.creates, view.spends_pass, texts)
    if view.timeline:
        parts += [Text(), timeline(view.timeline, texts)]
    if view.receipts:
        parts += [Text(), receipts(view.receipts, {it["id"]: it["name"] for it in view.destroys}, texts)]
    return Group(*parts)


def _code(facts: Table, view: ChangeView, texts: Texts) -> None:
    if view.stage != "awaiting_code":
        return
    facts.add_row(texts._("Code mailed to"), safe(view.sent_to))
    if view.code_expires_at is None:
        facts.add_row(texts._("Code"), texts._("the mail is on its way"))
    else:
        facts.add_row(texts._("Code valid until"), texts.date(view.code_expires_at))
    facts.add_row(texts._("Tries left"), texts.number(view.tries_left))
    if view.resend_at is not None:
        facts.add_row(texts._("New code possible from"), texts.date(view.resend_at))
    if view.window_ends_at is not None:
        facts.add_row(texts._("To be confirmed before"), texts.date(view.window_ends_at))


def line(configuration: Configuration, names: Names, texts: Texts) -> str:
    """Return a configuration in one line."""
    servers = texts.plural("{n} server", "{n} servers", configuration.server_count)
    slots = texts.plural("{n} slot each", "{n} slots each", configuration.slots)
    options = f", {names.options(configuration.options)}" if configuration.options else ""
    return f"{names.offer(configuration.offer)}, {servers}, {slots}{options}"


def timeline(entries: Iterable[TimelineEntry], texts: Texts) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    for entry in entries:
        table.add_row(Text(moment(entry, texts), style="dim"), safe(texts.event(entry.event, entry.data)))
    return table


def moment(entry: TimelineEntry, texts: Texts) -> str:
    return f"{entry.at.astimezone(texts.zone):%Y-%m-%d %H:%M:%S}"


def entry_line(entry: TimelineEntry, texts: Texts) -> str:
    return f"{moment(entry, texts)}  {safe(texts.event(entry.event, entry.data))}"


def receipts(proofs: Iterable[Receipt], names: dict[str, str], texts: Texts) -> RenderableType:
    """Return what was destroyed, step by step, with the evidence."""
    table = list_table(texts._("Receipt"), texts._("Server"), texts._("When"), texts._("Evidence"))
    for proof in proofs:
        evidence = ", ".join(f"{name} {_brief(value)}" for name, value in proof.evidence.items())
        server = names.get(proof.server_id, proof.server_id)
        when = f"{proof.at.astimezone(texts.zone):%Y-%m-%d %H:%M:%S}"
        table.add_row(texts.step(proof.step), safe(server), when, safe(evidence))
    return table


def _brief(value: object) -> str:
    return str(len(value)) if isinstance(value, list) else str(value)


def history(views: Iterable[ChangeView], names: Names, texts: Texts) -> RenderableType:
    changes = list(views)
    if not changes:
        return Text(texts._("No plan change yet."))
    table = list_table(texts._("Requested"), texts._("Stage"), texts._("Before"), texts._("New"), "id")
    for view in changes:
        table.add_row(
            f"{view.as_of.astimezone(texts.zone):%Y-%m-%d %H:%M}",
            stage(view, texts),
            line(view.before, names, texts),
            line(view.after, names, texts),
            Text(view.id, style="dim"),
        )
    return table
