"""What customers see in the terminal: services, offers, the recap of a change, in their language."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from changeover.domain.catalogue import Configuration, Option, Per
from changeover.domain.quote import Quote
from starter.cli.failures import problems_screen
from starter.cli.output import safe
from starter.texts import Texts
from starter.views import OfferView, ServerView, ServiceView

DANGER = "bold red"


class Names:
    """Offers and options by what customers call them; by their code where no name is known."""

    def __init__(self, offers: Iterable[OfferView], language: str) -> None:
        self._offers = {view.offer.code: view.offer.names.get(language) for view in offers}
        self._options = {
            option.code: option.names.get(language) for view in offers for option in view.offer.options
        }

    def offer(self, code: str) -> str:
        return safe(self._offers.get(code) or code)

    def options(self, codes: Iterable[str]) -> str:
        return ", ".join(safe(self._options.get(code) or code) for code in codes) or "-"


def services(views: Iterable[ServiceView], texts: Texts) -> RenderableType:
    screens = [_service(view, texts) for view in views]
    return Group(*screens) if screens else Text(texts._("There is no service on this account."))


def _service(view: ServiceView, texts: Texts) -> RenderableType:
    configuration = view.configuration
    facts = fact_table()
    facts.add_row(texts._("Offer"), safe(view.offer_names.get(texts.language, configuration.offer)))
    facts.add_row(texts._("Slots per server"), texts.number(configuration.slots))
    facts.add_row(texts._("Options"), ", ".join(configuration.options) or "-")
    facts.add_row(texts._("Price for 30 days"), texts.price(view.rate))
    facts.add_row(texts._("Days left"), texts.number(view.days_left))
    facts.add_row(texts._("Expires"), texts.date(view.expires_at))
    if view.next_change_at is not None:
        facts.add_row(texts._("Next change possible"), texts.date(view.next_change_at))
    if view.open_change is not None:
        stage = texts.stage(view.open_change.stage)
        facts.add_row(texts._("Plan change"), Text(f"{stage} ({view.open_change.id})", style="yellow"))
    title = Text.assemble((safe(view.name), "bold"), (f"  {view.id}", "dim"))
    return Group(title, facts, servers(view.servers, texts), Text())


def servers(views: Iterable[ServerView], texts: Texts) -> RenderableType:
    table = list_table(texts._("Server"), texts._("Address"), texts._("State"), texts._("Backups"), "id")
    for view in views:
        style = DANGER if view.state in {"marked", "destroying"} else ""
        table.add_row(
            safe(view.name),
            view.address,
            Text(texts.server_state(view.state), style=style),
            texts.number(view.backups),
            Text(view.id, style="dim"),
        )
    return table


def offers(views: Iterable[OfferView], texts: Texts) -> RenderableType:
    table = list_table(
        texts._("Code"),
        texts._("Offer"),
        texts._("Price of a server"),
        texts._("Price of a slot"),
        texts._("Slots"),
        texts._("Servers"),
        texts._("Options"),
    )
    for view in views:
        it = view.offer
        name = safe(it.names.get(texts.language, it.code))
        options = [
            f"{option.code} {_option_price(option, texts)}"
            for option in it.options
            if option.code in view.options
        ]
        table.add_row(
            it.code,
            Text(f"{name} ({texts._('present')})" if view.is_present else name),
            texts.price(it.base),
            texts.price(it.per_slot),
            f"{it.min_slots}-{it.max_slots} / {it.slot_step}",
            f"1-{it.most_servers}",
            "\n".join(options) or "-",
        )
    return table


def _option_price(option: Option, texts: Texts) -> str:
    price = texts.price(option.price)
    return texts._("{price} per server", price=price) if option.per is Per.SERVER else price


def quote(found: Quote, names: Names, texts: Texts) -> RenderableType:
    """Return the recap: old and new side by side, what is destroyed, and what stands in the way."""
    table = list_table("", texts._("Present"), texts._("New"))
    _configurations(table, found.before, found.after, names, texts)
    _row(table, texts._("Price for 30 days"), found.rate_before, found.rate_after, texts.price)
    _row(table, texts._("Days left"), found.days_before, found.days_after, texts.number)
    _row(table, texts._("Expires"), found.expires_at, found.new_expires_at, texts.date)
    parts: list[RenderableType] = [table]
    parts += consequences([server_of(it) for it in found.destroys], found.creates, found.spends_pass, texts)
    if found.blockers:
        parts.append(problems_screen(found.blockers, texts))
    else:
        parts.append(Text(f"digest {found.digest}", style="dim"))
    return Group(*parts)


def server_of(server: Any) -> Mapping[str, Any]:
    return {"name": server.name, "address": server.address, "backups": server.backups}


def consequences(
    destroys: Iterable[Mapping[str, Any]], creates: int, spends_pass: bool, texts: Texts
) -> list[RenderableType]:
    """Return what can't be taken back: the servers destroyed, in red, a pass, and no refund."""
    lines: list[RenderableType] = []
    for server in destroys:
        backups = texts.plural("{n} backup", "{n} backups", server["backups"])
        text = texts._(
            "{name} ({address}) is destroyed for good, with its data and {backups}",
            name=safe(server["name"]),
            address=server["address"],
            backups=backups,
        )
        lines.append(Text(f"! {text}", style=DANGER))
    if creates:
        lines.append(Text(texts.plural("{n} server is created", "{n} servers are created", creates)))
    if spends_pass:
        lines.append(Text(texts._("An instant-change pass is spent"), style="yellow"))
    lines.append(Text(texts._("No refund, not even in tokens; a confirmed change cannot be undone")))
    return lines


def _configurations(
    table: Table, before: Configuration, after: Configuration, names: Names, texts: Texts
) -> None:
    _row(table, texts._("Offer"), before.offer, after.offer, names.offer)
    _row(table, texts._("Slots per server"), before.slots, after.slots, texts.number)
    _row(table, texts._("Options"), before.options, after.options, names.options)
    _row(table, texts._("Servers"), before.server_count, after.server_count, texts.number)


def _row(table: Table, title: str, before: Any, after: Any, tell: Callable[[Any], str]) -> None:
    told = [Text("-" if value is None else tell(value)) for value in (before, after)]
    if before != after:
        told[1].stylize("bold cyan")
    table.add_row(title, *told)


def fact_table() -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    return table


def list_table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table
