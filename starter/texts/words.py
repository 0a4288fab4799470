"""Words of one language: translations, plurals, numbers and dates. The standard library only: fast to import.

English is written in the sources; `fr/LC_MESSAGES/changeover.po` has the French, and the `.mo` beside it is
compiled from that by `python -m starter.texts.compile`. `python -m starter.texts.lint` says what is missing.
"""

import gettext
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Final

DOMAIN: Final = "changeover"
FOLDER: Final = Path(__file__).parent
SOURCE_LANGUAGE: Final = "en"
LANGUAGES: Final = (SOURCE_LANGUAGE, "fr")

NBSP: Final = "\N{NO-BREAK SPACE}"
_THOUSANDS: Final = {"en": ",", "fr": "\N{NARROW NO-BREAK SPACE}"}
_MONTHS: Final = {
    "en": (
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    "fr": (
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ),
}


def N_(msgid: str) -> str:  # noqa: N802 - gettext's customary name: marks a text that a table holds
    """Mark a text for translation where it is only kept; `Words.translate` gives it in a language."""
    return msgid


class Words:
    """One language (English when it is none of ours), and the zone in which its dates are told."""

    def __init__(self, language: str, zone: tzinfo = UTC) -> None:
        self.language = language if language in LANGUAGES else SOURCE_LANGUAGE
        self.zone = zone
        self._catalogue = _catalogue(self.language)

    def _(self, msgid: str, /, **figures: object) -> str:
        """Translate a literal text and fill in its `{figures}`."""
        return self.translate(msgid, **figures)

    def translate(self, msgid: str, /, **figures: object) -> str:
        """Translate a text that was marked by `N_` elsewhere."""
        return self._catalogue.gettext(msgid).format(**figures)

    def plural(self, one: str, many: str, n: int, /, **figures: object) -> str:
        """Translate a text that depends on the number `n`, which its `{n}` shows."""
        return self._catalogue.ngettext(one, many, n).format(n=self.number(n), **figures)

    def number(self, number: int) -> str:
        """Return a number as it is read: `3,650`, or `3 650` in French."""
        return f"{number:,}".replace(",", _THOUSANDS[self.language])

    def price(self, cents: int) -> str:
        """Return cents as units with two decimals. The catalogue names no currency, and so do we."""
        point = {"en": ".", "fr": ","}[self.language]
        return f"{self.number(cents // 100)}{point}{cents % 100:02}"

    def date(self, moment: datetime, zone: tzinfo | None = None) -> str:
        """Return a long date, to the second, with its zone: «13 décembre 2026 à 23:36:36 (Europe/Paris)».

        In the hour that a zone lives through twice, the offset from UTC is told as well.
        """
        zone = zone or self.zone
        local = moment.astimezone(zone)
        name = getattr(zone, "key", None) or str(zone)
        twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
        offset = f", UTC{local.isoformat()[-6:]}" if twice else ""
        month = _MONTHS[self.language][local.month - 1]
        if self.language == "fr":
            day = "1er" if local.day == 1 else local.day
            return f"{day} {month} {local.year} à {local:%H:%M:%S} ({name}{offset})"
        hour, half = local.hour % 12 or 12, "AM" if local.hour < 12 else "PM"
        return f"{month} {local.day}, {local.year} at {hour}:{local:%M:%S}{NBSP}{half} ({name}{offset})"


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    if language == SOURCE_LANGUAGE:
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, FOLDER, languages=[language])
