"""Every code has its text, in both languages, and the host's sentence is the host's."""

import string
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from changeover.domain import problems
from changeover.domain.lifecycle import AbandonReason, Stage
from changeover.domain.problems import PROBLEMS, Problem
from changeover.domain.staleness import StaleCause
from changeover.domain.teardown import STEPS
from starter.texts import LANGUAGES, Texts
from starter.texts.words import NBSP
from workflows.messages import HostWork

PARIS = ZoneInfo("Europe/Paris")
MOMENT = datetime(2026, 12, 13, 22, 36, 36, tzinfo=UTC)
EVENTS = [
    "requested",
    "accepted",
    "rejected",
    "code_mailed",
    "code_wrong",
    "code_requested",
    "abandoned",
    "committed",
    "applying",
    "server_created",
    "limits_applied",
    "teardown_record",
    "teardown_stop",
    "teardown_delete_backups",
    "teardown_delete_data",
    "teardown_verify_gone",
    "server_destroyed",
    "needs_attention",
    "retried",
    "skipped",
    "completed",
    "outcome_mailed",
]

FIGURES: dict[str, dict[str, Any]] = {
    "service-expired": {"expired_at": MOMENT},
    "change-in-progress": {"plan_change_id": "c0ffee"},
    "configuration-invalid": {"field": "slots", "allowed": {"min": 10, "max": 32, "step": 2}},
    "servers-not-marked": {"to_mark": 2},
    "servers-marked-mismatch": {"kept": 2},
    "change-too-soon": {"next_change_at": MOMENT},
    "insufficient-days": {"required": 4, "remaining": 3},
    "too-many-days": {"days_after": 5000, "most": 3650},
    "no-capacity": {"free": 1, "needed": 3},
    "request-invalid": {"field": "days", "detail": "1 to 3650"},
    "quote-stale": {"quote": {}},
    "acknowledgement-missing": {"no_refund": False, "destroys": ["s1"]},
    "code-wrong": {"tries_left": 4},
    "resend-too-soon": {"retry_after": 42},
    "resend-limit": {"most": 3},
    "change-closed": {"outcome": "abandoned", "reason": "stale"},
    "not-found": {"what": "service"},
    "engine-unavailable": {"retry_after": 5},
}


@pytest.fixture(params=LANGUAGES)
def texts(request: pytest.FixtureRequest) -> Texts:
    return Texts(request.param, PARIS)


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_says_what_is_wrong_and_what_to_do(texts: Texts, code: str) -> None:
    title, advice = texts.problem(PROBLEMS[code](**FIGURES.get(code, {})))
    for text in (title, advice):
        assert text.endswith((".", ").")), text
        assert not [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]


@pytest.mark.parametrize("code", PROBLEMS)
def test_no_problem_is_said_in_the_other_language(code: str) -> None:
    problem = PROBLEMS[code](**FIGURES.get(code, {}))
    english, french = (Texts(language).problem(problem) for language in LANGUAGES)
    assert english[0] != french[0]
    assert english[1] != french[1]


def test_the_host_s_sentence_is_said_to_the_letter() -> None:
    title, advice = Texts("fr").problem(problems.InsufficientDays(required=4, remaining=3))
    assert title.replace(NBSP, " ") == (
        "Votre nombre de jours restants pour faire ce changement d'offre est insuffisant. "
        "Vous devez disposer d'au moins 4 jours pour pouvoir le faire. "
        "Il vous reste actuellement : 3 jours."
    )
    assert advice == "Renouvelez d'abord votre service."


@pytest.mark.parametrize(
    ("language", "days", "said"),
    [
        ("fr", 0, "Il vous reste actuellement : 0 jour."),
        ("fr", 1, "Il vous reste actuellement : 1 jour."),
        ("fr", 2, "Il vous reste actuellement : 2 jours."),
        ("en", 0, "At present you have 0 days left."),
        ("en", 1, "At present you have 1 day left."),
    ],
)
def test_none_and_one_are_counted_as_the_language_does(language: str, days: int, said: str) -> None:
    title, _ = Texts(language).problem(problems.InsufficientDays(required=4, remaining=days))
    assert title.replace(NBSP, " ").endswith(said)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (problems.ConfigurationInvalid(field="offer", allowed=["a", "b"]), "Possible: a, b."),
        (problems.ConfigurationInvalid(field="options", allowed=[]), "None can be chosen here."),
        (
            problems.ConfigurationInvalid(field="slots", allowed={"min": 10, "max": 10, "step": 1}),
            "Only 10 is possible.",
        ),
        (
            problems.ConfigurationInvalid(field="server_count", allowed={"min": 1, "max": 5, "step": 1}),
            "Possible: 1 to 5.",
        ),
        (problems.ServersMarkedMismatch(kept=0), "Take back the mark of a server you keep."),
        (problems.CodeWrong(tries_left=0), "Ask for a new code, if the change is still open."),
        (
            problems.RequestInvalid(field="code", detail="x"),
            "Type the code as it was mailed: eight letters, XXXX-XXXX.",
        ),
    ],
)
def test_an_advice_fits_the_figures(problem: Problem, said: str) -> None:
    assert Texts("en").problem(problem)[1] == said


@pytest.mark.parametrize("outcome", ["committed", "completed"])
def test_a_confirmed_change_is_said_to_be_irreversible(texts: Texts, outcome: str) -> None:
    title, _ = texts.problem(problems.ChangeClosed(outcome=outcome))
    assert ("undone" in title) or ("irréversible" in title)


def test_an_unknown_field_or_thing_is_told_by_its_name(texts: Texts) -> None:
    for problem in (
        problems.ConfigurationInvalid(field="colour", allowed=[]),
        problems.NotFound(what="colour"),
    ):
        assert "colour" in texts.problem(problem)[0]


def test_every_code_has_a_text(texts: Texts) -> None:
    told: dict[str, str] = {
        **{stage: texts.stage(stage) for stage in Stage},
        **{reason: texts.reason(reason) for reason in AbandonReason},
        **{blocker.code: texts.reason(blocker.code) for blocker in problems.BLOCKERS},
        **{f"cause {cause}": texts.cause(cause) for cause in StaleCause},
        **{event: texts.event(event) for event in EVENTS},
        **{f"step {step}": texts.step(step) for step in STEPS},
        **{work: texts.work(work) for work in HostWork},
    }
    same = {"requested", "abandoned", "completed", "cancelled", "interrupted", "create", "stale"}
    assert [code for code, text in told.items() if text == code and code not in same] == []


def test_what_has_no_text_is_told_by_its_code(texts: Texts) -> None:
    assert texts.event("dreamt") == "dreamt"


def test_an_event_tells_its_server_reason_and_date() -> None:
    texts = Texts("en", PARIS)
    assert texts.event("teardown_stop", {"server": "server-3"}) == "Server stopped: server-3"
    assert "not confirmed in time" in texts.event("abandoned", {"reason": "window-over"})
    assert "prices had changed" in texts.event("abandoned", {"reason": "stale", "cause": "prices-changed"})
    assert "December 13" in texts.event("committed", {"new_expires_at": MOMENT.isoformat()})


def test_an_operator_s_texts_are_not_in_what_customers_read(texts: Texts) -> None:
    data = {"problem": "10.0.0.7 refused", "reason": "disk swapped", "evidence": "ticket 7"}
    for event in ("needs_attention", "skipped"):
        assert not any(secret in texts.event(event, data) for secret in data.values())


@pytest.mark.parametrize(
    ("language", "moment", "said"),
    [
        ("fr", MOMENT, "13 décembre 2026 à 23:36:36 (Europe/Paris)"),
        ("fr", datetime(2026, 5, 1, 10, tzinfo=UTC), "1er mai 2026 à 12:00:00 (Europe/Paris)"),
        ("en", MOMENT, "December 13, 2026 at 11:36:36 PM (Europe/Paris)"),
        ("en", datetime(2026, 5, 1, 22, tzinfo=UTC), "May 2, 2026 at 12:00:00 AM (Europe/Paris)"),
        (
            "fr",
            datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
            "25 octobre 2026 à 02:30:00 (Europe/Paris, UTC+02:00)",
        ),
        (
            "fr",
            datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
            "25 octobre 2026 à 02:30:00 (Europe/Paris, UTC+01:00)",
        ),
    ],
)
def test_a_date_is_long_and_never_ambiguous(language: str, moment: datetime, said: str) -> None:
    assert Texts(language).date(moment, PARIS).replace(NBSP, " ") == said


def test_numbers_and_prices_are_written_as_the_language_does() -> None:
    assert Texts("en").price(123456) == "1,234.56"
    assert Texts("fr").price(123405) == "1\u202f234,05"


def test_another_language_is_told_in_english() -> None:
    assert Texts("de").stage("rejected") == "refused"
