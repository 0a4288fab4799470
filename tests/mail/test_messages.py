"""Every mail, in every language, in every variant, says what it must and nothing half-written."""

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfoNotFoundError

import pytest

import changeover.mail.messages
from changeover.mail import (
    LANGUAGES,
    CodeMail,
    DestroyedServer,
    OutcomeMail,
    Plan,
    Rendered,
    message_id,
    render,
)

FOLDER: Final = Path(changeover.mail.messages.__file__).with_name("messages")
CODE: Final = "BCDF-GHJK"
NAME: Final = "B\u00fbcherons & <Fils> {{ code }}"
EXPIRY: Final = datetime(2026, 9, 3, 12, 5, 9, tzinfo=UTC)
OLD: Final = Plan(offer_name="Minecraft Pro", slots=20, servers=3, options=("FTP", "Flexi Plus"))
NEW: Final = Plan(offer_name="Minecraft Lite", slots=1, servers=1)
SERVERS: Final = tuple(
    DestroyedServer(name=f"Serveur {n}", address=f"10.0.0.{n}:27015", backups=n) for n in range(3)
)
REASONS: Final = (
    *("service-expired", "recurring-payment-active", "configuration-changed", "prices-changed"),
    *("servers-changed", "pass-gone", "no-capacity", "change-too-soon", "insufficient-days", "too-many-days"),
    *("something-else", None),
)


def code_mail(**changes: object) -> CodeMail:
    values: dict[str, object] = {
        "reference": "PC-7F3A",
        "service_name": NAME,
        "code": CODE,
        "valid_until": datetime(2026, 8, 3, 12, 15, 9, tzinfo=UTC),
        "old": OLD,
        "new": NEW,
        "days_before": 20,
        "days_after": 30,
        "new_expires_at": EXPIRY,
        "destroys": SERVERS,
        "creates": 0,
        "spends_pass": False,
        "number": 1,
    }
    return CodeMail(**(values | changes))  # type: ignore[arg-type]


def outcome_mail(**changes: object) -> OutcomeMail:
    values: dict[str, object] = {
        "reference": "PC-7F3A",
        "service_name": NAME,
        "kind": "completed",
        "reason": None,
        "old": OLD,
        "new": NEW,
        "new_expires_at": EXPIRY,
        "destroyed": SERVERS,
        "addresses_of_new_servers": (),
    }
    return OutcomeMail(**(values | changes))  # type: ignore[arg-type]


def stopped_mail(kind: str, reason: str | None = None) -> OutcomeMail:
    return outcome_mail(kind=kind, reason=reason, new_expires_at=None, destroyed=())


def every_mail() -> Iterator[CodeMail | OutcomeMail]:
    for servers, creates, spends_pass, number in itertools.product(range(4), range(3), (True, False), (1, 2)):
        yield code_mail(
            destroys=SERVERS[:servers],
            creates=creates,
            spends_pass=spends_pass,
            number=number,
            days_before=servers,
            days_after=creates,
            new=Plan(offer_name="Lite", slots=creates, servers=servers, options=("FTP",) * creates),
        )
    for servers, created in itertools.product(range(4), range(3)):
        yield outcome_mail(
            destroyed=SERVERS[:servers], addresses_of_new_servers=("10.0.0.9:27015",) * created
        )
    yield outcome_mail(new_expires_at=None)
    yield stopped_mail("window-over")
    yield stopped_mail("too-many-tries")
    for reason in REASONS:
        yield stopped_mail("stale", reason)


class WellFormed(HTMLParser):
    """Fails on tags that don't match; collects what a reader would see, and every attribute."""

    VOID: Final = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: dict[str, list[str | None]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


def read(html: str) -> tuple[str, dict[str, list[str | None]]]:
    parser = WellFormed()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return " ".join("".join(parser.seen).split()), parser.attributes


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_mail_is_whole(language: str) -> None:
    for mail in every_mail():
        rendered = render(mail, language, "Europe/Paris")
        assert rendered.language == language
        assert rendered.subject
        assert len(rendered.subject.splitlines()) == 1
        assert rendered.subject == rendered.subject.strip()
        for part in (rendered.subject, rendered.text, rendered.html):
            for unfinished in ("{%", "{#", "None", "Undefined", "()", " ,", "  )"):
                assert unfinished not in part
            assert part.replace("{{ code }}", "").count("{{") == 0
        assert not re.search(r"&(\w+|#\d+);", rendered.text)
        assert not re.search(r"\n{3}", rendered.text)
        assert NAME in rendered.text
        assert rendered.text.endswith("\n")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_html_is_well_formed_and_self_contained(language: str) -> None:
    for mail in every_mail():
        seen, attributes = read(render(mail, language, "Europe/Paris").html)
        assert NAME in seen
        assert attributes["lang"] == [language]
        assert not {"src", "href", "srcset", "background", "onclick"} & set(attributes)
        assert not any("url(" in (style or "") for style in attributes["style"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_and_html_give_the_same_facts(language: str) -> None:
    for mail in every_mail():
        rendered = render(mail, language, "Europe/Paris")
        seen, _ = read(rendered.html)
        facts = re.findall(r"\d[\d:.,/]*", rendered.text)
        assert sorted(set(facts)) == sorted(set(re.findall(r"\d[\d:.,/]*", seen)))


def test_the_same_files_exist_in_every_language() -> None:
    folders = [folder for folder in FOLDER.iterdir() if folder.is_dir()]
    assert {folder.name for folder in folders} == {"code", "outcome", "phrases", "trial"}
    for folder in folders:
        files = [{file.name for file in (folder / language).iterdir()} for language in LANGUAGES]
        assert all(names == files[0] for names in files)
        assert {language.name for language in folder.iterdir()} == set(LANGUAGES)


def test_french_spaces_do_not_break() -> None:
    for file in FOLDER.glob("*/fr/*"):
        words = re.sub(r"\{[{%].*?[}%]\}|<[^>]*>", "x", file.read_text())
        assert not re.search(r"(?<!\u00a0)[;?!\u00bb]", words), file
        assert not re.search(r"(?<![\u00a0\d]):(?!\d)", words), file
        assert not re.search(r"\u00ab(?!\u00a0)", words), file
        assert "'" not in words, file


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_code_stands_in_the_body_and_never_in_the_subject(language: str) -> None:
    rendered = render(code_mail(), language, "Europe/Paris")
    assert re.search(rf"^ *{CODE}$", rendered.text, re.MULTILINE)
    assert CODE in rendered.html
    assert CODE not in rendered.subject
    title = re.search(r"<title>(.*)</title>", rendered.html)
    assert title is not None
    assert CODE not in title[1]
    assert CODE not in repr(rendered)
    assert CODE not in repr(code_mail())


@pytest.mark.parametrize(
    ("language", "facts"),
    [
        (
            "en",
            [
                "September 3, 2026 at 2:05:09 PM (Europe/Paris, UTC+02:00)",
                "until August 3, 2026 at 2:15:09 PM (Europe/Paris, UTC+02:00)",
                "Minecraft Pro, 3 servers with 20 slots each, options: FTP, Flexi Plus",
                "Minecraft Lite, 1 server with 1 slot, no options",
                "3 servers will be destroyed",
                "Serveur 0 (10.0.0.0:27015), 0 backups",
                "Serveur 1 (10.0.0.1:27015), 1 backup",
                "no refund",
                "one instant-change pass will be spent",
                "20 days",
                "30 days",
                "change your password",
                "It replaces the code sent before",
            ],
        ),
        (
            "fr",
            [
                "3 septembre 2026 \u00e0 14:05:09 (Europe/Paris, UTC+02:00)",
                "jusqu\u2019au 3 ao\u00fbt 2026 \u00e0 14:15:09 (Europe/Paris, UTC+02:00)",
                "Minecraft Pro, 3 serveurs de 20 slots chacun, options : FTP, Flexi Plus",
                "Minecraft Lite, 1 serveur de 1 slot, sans option",
                "3 serveurs seront d\u00e9truits",
                "Serveur 0 (10.0.0.0:27015), 0 sauvegarde",
                "Serveur 2 (10.0.0.2:27015), 2 sauvegardes",
                "Aucun remboursement",
                "un pass de changement instantan\u00e9 sera utilis\u00e9",
                "20 jours",
                "30 jours",
                "changez votre mot de passe",
                "\u00ab confirmer mes modifications \u00bb",
                "Il remplace le code envoy\u00e9 auparavant",
            ],
        ),
    ],
)
def test_the_code_mail_says_all_that_is_confirmed(language: str, facts: list[str]) -> None:
    rendered = render(code_mail(spends_pass=True, number=2), language, "Europe/Paris")
    for part in (" ".join(rendered.text.split()), read(rendered.html)[0]):
        for fact in facts:
            assert fact in part


@pytest.mark.parametrize(
    ("language", "number", "days"),
    [
        ("fr", 0, "0\u00a0jour"),
        ("fr", 1, "1\u00a0jour"),
        ("fr", 2, "2\u00a0jours"),
        ("fr", 3650, "3\u202f650\u00a0jours"),
        ("en", 0, "0\u00a0days"),
        ("en", 1, "1\u00a0day"),
        ("en", 2, "2\u00a0days"),
        ("en", 3650, "3,650\u00a0days"),
    ],
)
def test_plurals(language: str, number: int, days: str) -> None:
    text = render(code_mail(days_after=number), language, "UTC").text
    assert re.search(rf": {days}$|\u00a0: {days}$", text, re.MULTILINE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_reason_has_words_of_its_own(language: str) -> None:
    texts = [render(stopped_mail("stale", reason), language, "UTC").text for reason in REASONS]
    assert len(set(texts)) == len(REASONS) - 1  # the two without words share the general sentence
    assert texts[-1] == texts[-2]
    assert len({render(stopped_mail(kind), language, "UTC").text for kind in ("window-over", "stale")}) == 2


@pytest.mark.parametrize(("language", "words"), [("en", "still marked"), ("fr", "le sont toujours")])
def test_a_change_that_was_not_made_says_that_the_marks_are_kept(language: str, words: str) -> None:
    for kind in ("window-over", "stale", "too-many-tries"):
        rendered = render(stopped_mail(kind), language, "UTC")
        assert words in rendered.text
        assert words in rendered.html


@pytest.mark.parametrize(
    ("language", "zone", "shown"),
    [
        ("fr", "UTC", "1er mars 2026 \u00e0 00:00:00 (UTC)"),
        ("en", "Etc/UTC", "March 1, 2026 at 12:00:00\u00a0AM (UTC)"),
        ("fr", "Asia/Kolkata", "1er mars 2026 \u00e0 05:30:00 (Asia/Kolkata, UTC+05:30)"),
        ("en", "America/New_York", "February 28, 2026 at 7:00:00\u00a0PM (America/New_York, UTC-05:00)"),
    ],
)
def test_dates_show_their_zone(language: str, zone: str, shown: str) -> None:
    mail = code_mail(new_expires_at=datetime(2026, 3, 1, tzinfo=UTC))
    assert shown in render(mail, language, zone).text


def test_dates_know_daylight_saving() -> None:
    before, after = (
        render(code_mail(new_expires_at=datetime(2026, 10, 25, hour, 30, tzinfo=UTC)), "fr", "Europe/Paris")
        for hour in (0, 1)
    )
    assert "02:30:00 (Europe/Paris, UTC+02:00)" in before.text
    assert "02:30:00 (Europe/Paris, UTC+01:00)" in after.text


def test_a_date_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        render(code_mail(new_expires_at=datetime(2026, 3, 1)), "fr", "UTC")  # noqa: DTZ001


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        render(code_mail(), "fr", "Europe/Nowhere")


@pytest.mark.parametrize("language", ["de", "", "../fr", "FR"])
def test_an_unknown_language_is_english(language: str) -> None:
    assert render(code_mail(), language, "UTC") == render(code_mail(), "en", "UTC")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("breaks", ["\r\n", "\n\n", "\u2028", "\x85", "\x0b"])
def test_a_name_cannot_write_lines_of_its_own(language: str, breaks: str) -> None:
    name = f"Bob{breaks}Bcc: other@players.example"
    mail = code_mail(
        service_name=name,
        destroys=(DestroyedServer(name=name, address="10.0.0.1:27015", backups=1),),
        new=Plan(offer_name=name, slots=1, servers=1, options=(name,)),
    )
    rendered: Rendered = render(mail, language, "UTC")
    for part in (rendered.subject, rendered.text, rendered.html):
        assert breaks not in part or breaks == "\n\n"
        assert not any(line.startswith("Bcc") for line in part.splitlines())
        assert "Bob Bcc: other@players.example" in part


def test_a_message_id_is_the_same_for_each_try_of_one_mail_only() -> None:
    first = message_id("3f0e", "1", "panel.example")
    assert first == message_id("3f0e", "1", "panel.example")
    assert re.fullmatch(r"<[0-9a-f]{32}@panel\.example>", first)
    others = [("3f0e", "2"), ("3f0e", "completed"), ("3f0", "e1"), ("3f0e1", "")]
    assert len({first, *(message_id(change, kind, "panel.example") for change, kind in others)}) == 5


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["window-over", "stale", "too-many-tries"])
def test_a_change_that_was_not_made_names_no_destroyed_server_and_no_new_expiry(
    language: str, kind: str
) -> None:
    given = outcome_mail(kind=kind, addresses_of_new_servers=("10.0.0.9:27015",))  # as they were planned
    assert render(given, language, "UTC") == render(stopped_mail(kind), language, "UTC")
