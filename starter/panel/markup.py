"""Jinja pages: escaped by default, an unknown name is an error, every text in the visitor's language."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from starter.panel.assets import Assets
from starter.panel.phrases import COUNTED, PHRASES
from starter.texts import LANGUAGES, Texts

if TYPE_CHECKING:
    from starter.panel.visit import Visit

FOLDER: Final = Path(__file__).with_name("templates")
_OTHER_LANGUAGES: Final = {"fr": "Français", "en": "English"}


class Pages:
    """The templates."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, template: str, visit: "Visit", context: Mapping[str, Any]) -> str:
        says = _Says(visit.texts)
        page = {
            "visit": visit,
            "t": visit.texts,
            "say": says.say,
            "count": says.count,
            "when": says.when,
            "clock": says.clock,
            "price": visit.texts.price,
            "listing": says.listing,
            "url": visit.url,
            "static": lambda file: visit.url("static", file=self._assets.name(file)),
            "languages": {code: _OTHER_LANGUAGES[code] for code in LANGUAGES},
            "here": visit.request.url.path,
            "now": visit.now,
            "failed": False,
        }
        return self._environment.get_template(template).render(page | dict(context))


class _Says:
    """What templates call to say something in one language."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def say(self, phrase: str, **figures: object) -> str:
        return self._texts.translate(PHRASES[phrase], **figures)

    def count(self, phrase: str, number: int, **figures: object) -> str:
        return COUNTED[phrase](self._texts, number, **figures)

    def when(self, moment: datetime) -> Markup:
        """Return a long date as a `time` element; the zone's name may break behind its slash."""
        told = escape(self._texts.date(moment)).replace("/", Markup("/<wbr>"))
        return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), told)

    def clock(self, moment: datetime) -> Markup:
        """Return the time of day as a `time` element."""
        local = moment.astimezone(self._texts.zone)
        return Markup('<time datetime="{}">{:%H:%M:%S}</time>').format(moment.isoformat(), local)

    def listing(self, things: Iterable[str]) -> str:
        return ", ".join(things) or self.say("none")
