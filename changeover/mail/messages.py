"""The two mails that customers get, in their language, and one that operators try: from templates."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import ClassVar, Final, Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime
from babel.numbers import format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

LANGUAGES: Final = ("en", "fr")
FALLBACK_LANGUAGE: Final = "en"

_BREAKS: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
# Babel's long forms, with the word that belongs between day and time.
_DATE_PATTERNS: Final = {"en": "MMMM d, y 'at' h:mm:ss\u00a0a", "fr": "d MMMM y 'à' HH:mm:ss"}
_FRENCH_FIRST: Final = "d'er' MMMM y 'à' HH:mm:ss"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A configuration in the customer's words. `slots` are per server."""

    offer_name: str
    slots: int
    servers: int
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DestroyedServer:
    """A server that is destroyed for good, with its data and this many backups."""

    name: str
    address: str
    backups: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeMail:
    """The mail with the code. Days are whole days left, before and after; dates are aware."""

    template: ClassVar[str] = "code"

    reference: str
    service_name: str
    code: str = field(repr=False)
    valid_until: datetime
    old: Plan
    new: Plan
    days_before: int
    days_after: int
    new_expires_at: datetime
    destroys: tuple[DestroyedServer, ...]
    creates: int
    spends_pass: bool
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeMail:
    """What became of a change. `reason` says why it is stale; an unknown one gets a general sentence."""

    template: ClassVar[str] = "outcome"

    reference: str
    service_name: str
    kind: Literal["completed", "window-over", "stale", "too-many-tries"]
    reason: str | None
    old: Plan
    new: Plan
    new_expires_at: datetime | None
    destroyed: tuple[DestroyedServer, ...]
    addresses_of_new_servers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialMail:
    """What an operator sends to see that mails arrive."""

    template: ClassVar[str] = "trial"

    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A mail ready for `OutgoingMail`. `language` is the one it was written in."""

    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    language: str


def render(mail: CodeMail | OutcomeMail | TrialMail, language: str, time_zone: str) -> Rendered:
    """Write `mail` in `language` (English if there is no translation), dates in `time_zone` (IANA name)."""
    if language not in LANGUAGES:
        language = FALLBACK_LANGUAGE
    words = {"language": language, "date": _dates(language, time_zone), "count": _counts(language)}

    def fill(folder: str, name: str, **values: object) -> str:
        return _environment().get_template(f"{folder}/{language}/{name}").render(words | values)

    def phrase(name: str, **values: object) -> str:
        # Plain text on purpose: what is put into HTML is escaped there, as Jinja's own macros would not be.
        return _one_line(fill("phrases", f"{name}.txt", **values))

    subject = _one_line(fill(mail.template, "subject.txt", mail=mail))
    body = {"mail": mail, "subject": subject, "phrase": phrase}
    return Rendered(
        subject=subject,
        text=fill(mail.template, "body.txt", **body),
        html=fill(mail.template, "body.html", **body),
        language=language,
    )


def message_id(change_id: str, number_or_kind: str, domain: str) -> str:
    """Make the Message-ID of one mail of a change: the same each time it is sent, and of no other mail."""
    digest = hashlib.sha256(f"{change_id}\n{number_or_kind}".encode()).hexdigest()[:32]
    return f"<{digest}@{domain}>"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("messages")),
        autoescape=select_autoescape(enabled_extensions=("html",), default=False),
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )


def _finalize(value: object) -> object:
    """Keep a name that is put in within its line: it can't write paragraphs of its own into the mail."""
    return _BREAKS.sub(" ", value) if type(value) is str else value


def _one_line(text: str) -> str:
    return _BREAKS.sub(" ", text).strip(" ")


def _dates(language: str, time_zone: str) -> Callable[[datetime], str]:
    zone = ZoneInfo(time_zone)
    shown_zone = "'UTC'" if time_zone in {"UTC", "Etc/UTC"} else f"'{time_zone}, UTC'xxx"

    def date(value: datetime) -> str:
        if value.tzinfo is None:
            raise ValueError("a date in a mail is aware of its time zone")
        local = value.astimezone(zone)
        first = language == "fr" and local.day == 1
        pattern = _FRENCH_FIRST if first else _DATE_PATTERNS[language]
        return format_datetime(local, f"{pattern} ({shown_zone})", tzinfo=zone, locale=language)

    return date


def _counts(language: str) -> Callable[[int, str, str], str]:
    locale = Locale.parse(language)

    def count(number: int, one: str, many: str) -> str:
        noun = one if locale.plural_form(number) == "one" else many
        return f"{format_decimal(number, locale=locale)}\u00a0{noun}"

    return count
