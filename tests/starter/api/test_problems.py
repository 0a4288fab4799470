"""Problems: one status each, the shape of RFC 9457, the caller's language, and a page of its own."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from changeover.domain import problems as p
from changeover.domain.problems import PROBLEMS
from starter.api.examples import PROBLEMS as EXAMPLES
from starter.api.language import preferred
from starter.api.problems import OWN, STATUSES, TYPES, response, shape
from starter.texts import Texts
from tests.starter.api.conftest import Api

ALL = {**PROBLEMS, **{own.code: own for own in OWN}}
PAGES = Path(__file__).parents[3] / "docs" / "problems"
DESIGN = {  # DESIGN, section 5
    410: "service-expired code-expired",
    409: "change-in-progress recurring-payment-active change-too-soon no-capacity quote-stale change-closed",
    422: "configuration-invalid nothing-changes servers-not-marked servers-marked-mismatch not-convertible "
    "insufficient-days too-many-days request-invalid acknowledgement-missing code-wrong "
    "idempotency-key-reused",
    429: "code-locked resend-too-soon resend-limit",
    404: "not-found",
    400: "idempotency-key-missing",
    401: "unauthorized",
    503: "engine-unavailable",
}


def test_every_problem_has_the_status_that_the_design_gives_it() -> None:
    designed = {code: status for status, codes in DESIGN.items() for code in codes.split()}
    assert designed.keys() == PROBLEMS.keys()
    assert {code: int(STATUSES[code]) for code in PROBLEMS} == designed
    assert STATUSES.keys() == ALL.keys()


def test_there_is_an_example_of_every_problem() -> None:
    assert [example.code for example in EXAMPLES] == list(ALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.code)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_problem_is_told_as_rfc_9457_says_with_its_figures_as_members(
    example: p.Problem, language: str
) -> None:
    told = shape(example, Texts(language))
    assert told["type"] == TYPES + example.code
    assert told["title"]
    assert told["detail"]
    assert told["status"] == STATUSES[example.code]
    assert told.keys() - {"type", "title", "status", "detail"} == example.figures.keys() - {"detail"}


@pytest.mark.parametrize("code", ALL)
def test_there_is_a_page_that_names_the_status_and_every_figure(code: str) -> None:
    text = (PAGES / f"{code}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# `{code}`: {int(STATUSES[code])}\n")
    for figure in fields(ALL[code]):
        assert f"`{figure.name}`" in text, figure.name
    for heading in ("What it means", "Members", "What to do"):
        assert f"\n**{heading}.**" in text


def test_there_is_no_page_of_a_problem_that_does_not_exist() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == ALL.keys()


def test_the_page_of_the_api_lists_every_problem() -> None:
    text = (PAGES.parent / "api.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(problems/([a-z-]+)\.md\)", text)) == ALL.keys()


def test_who_must_wait_is_told_how_long_in_a_header_too() -> None:
    for problem in (p.ResendTooSoon(retry_after=42), p.EngineUnavailable(retry_after=42)):
        assert response(problem, Texts("en")).headers["retry-after"] == "42"
    assert "retry-after" not in response(p.CodeLocked(), Texts("en")).headers


def test_blockers_stand_in_a_blocked_problem_and_in_no_other() -> None:
    first, second = p.NothingChanges(), p.NoCapacity(free=0, needed=1)
    told = shape(first.among((first, second)), Texts("en"))
    assert [blocker["type"] for blocker in told["blockers"]] == [
        "/problems/nothing-changes",
        "/problems/no-capacity",
    ]
    missing = p.AcknowledgementMissing(no_refund=False, destroys=[])
    assert "blockers" not in shape(missing.among((missing,)), Texts("en"))


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("fr", "fr"),
        ("fr-CA", "fr"),
        ("FR", "fr"),
        ("de", "en"),
        ("de, fr;q=0.1", "fr"),
        ("fr;q=0.4, en;q=0.5", "en"),
        ("en;q=0.4, fr;q=0.5", "fr"),
        ("*", "en"),
        ("en;q=0, *;q=0.5", "fr"),
        ("fr;q=0", "en"),
        ("nonsense;;q=, fr", "fr"),
        ("fr;q=9", "en"),
    ],
)
def test_the_language_that_is_liked_best_is_spoken(header: str | None, language: str) -> None:
    assert preferred(header) == language


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.code)
async def test_whatever_the_facade_raises_is_told_with_its_status(
    api: Api, monkeypatch: pytest.MonkeyPatch, example: p.Problem
) -> None:
    async def refuse(*_arguments: object) -> None:
        raise example

    monkeypatch.setattr(api.app.state.plans, "cancel", refuse)
    languages = {"Accept-Language": "fr;q=0.9, en"}
    answer = await api.call("POST", "/v1/plan-changes/any/cancel", headers=languages)
    assert answer.status_code == STATUSES[example.code]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-language"] == "en"
    assert answer.json() == shape(example, Texts("en", api.app.state.settings.zone))


@pytest.mark.parametrize(("who", "language"), [("bruno", "fr"), ("chloe", "en")])
async def test_a_caller_that_names_no_language_is_told_in_the_accounts(
    api: Api, who: str, language: str
) -> None:
    answer = await api.call("POST", "/v1/plan-changes/any/cancel", who=who)
    title, _ = Texts(language).problem(p.NotFound(what="plan change"))
    assert (answer.json()["title"], answer.headers["content-language"]) == (title, language)
    nothing, _ = Texts(language).problem(p.NothingChanges())
    assert nothing in [blocker["title"] for blocker in (await api.quote(who))["blockers"]]


async def test_only_a_caller_with_a_key_learns_an_accounts_language(api: Api) -> None:
    answer = await api.call("GET", "/v1/services", headers={"Authorization": "Bearer chk_wrong"})
    assert (answer.status_code, answer.headers["content-language"]) == (401, "en")


async def test_an_unknown_account_has_no_language(api: Api) -> None:
    answer = await api.call("GET", "/v1/services", headers={"X-Account-Id": "nobody"})
    assert (answer.status_code, answer.headers["content-language"]) == (404, "en")
