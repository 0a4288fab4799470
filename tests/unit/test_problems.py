"""Problems: stable codes with their figures, that survive a row and an API."""

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changeover.domain.problems import (
    BLOCKERS,
    PROBLEMS,
    ChangeTooSoon,
    CodeExpired,
    CodeLocked,
    InsufficientDays,
    NoCapacity,
    Problem,
    ServiceExpired,
    TooManyDays,
    from_record,
    to_record,
)
from tests.unit.strategies import problems, problems_of

OTHERS = [
    "request-invalid",
    "quote-stale",
    "acknowledgement-missing",
    "code-wrong",
    "code-expired",
    "code-locked",
    "resend-too-soon",
    "resend-limit",
    "change-closed",
    "not-found",
    "idempotency-key-missing",
    "idempotency-key-reused",
    "unauthorized",
    "engine-unavailable",
]


def subclasses(problem: type[Problem]) -> Iterator[type[Problem]]:
    for subclass in problem.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


@pytest.mark.parametrize("code", PROBLEMS)
@settings(max_examples=50)
@given(data=st.data())
def test_every_problem_comes_back_from_its_record(code: str, data: st.DataObject) -> None:
    problem = data.draw(problems_of(PROBLEMS[code]))
    back = from_record(json.loads(json.dumps(to_record(problem))))
    assert type(back) is type(problem)
    assert back == problem
    assert back.figures == problem.figures


def test_every_problem_is_listed_under_a_code_of_its_own() -> None:
    listed = list(PROBLEMS.values())
    assert set(listed) == {p for p in subclasses(Problem) if p.__module__ == Problem.__module__}
    assert len(set(listed)) == len(listed)
    assert all(code == problem.code for code, problem in PROBLEMS.items())


def test_the_codes_are_the_designs() -> None:
    assert [*PROBLEMS][len(BLOCKERS) :] == OTHERS


def test_no_figure_hides_the_code() -> None:
    assert all(figure.name != "code" for problem in PROBLEMS.values() for figure in fields(problem))


def test_a_record_is_the_code_and_the_figures_with_dates_in_iso_8601() -> None:
    assert to_record(InsufficientDays(required=4, remaining=3)) == {
        "code": "insufficient-days",
        "required": 4,
        "remaining": 3,
    }
    moment = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert to_record(ChangeTooSoon(next_change_at=moment)) == {
        "code": "change-too-soon",
        "next_change_at": "2026-03-10T12:00:00+00:00",
    }


def test_an_unknown_code_is_no_problem_of_ours() -> None:
    with pytest.raises(KeyError, match="no-such-code"):
        from_record({"code": "no-such-code"})


def test_reading_a_record_leaves_it_as_it_was() -> None:
    record = to_record(ServiceExpired(expired_at=datetime(2026, 3, 10, tzinfo=UTC)))
    copy = dict(record)
    from_record(record)
    assert record == copy


def test_problems_are_equal_by_code_and_figures() -> None:
    assert InsufficientDays(required=4, remaining=3) == InsufficientDays(required=4, remaining=3)
    assert InsufficientDays(required=4, remaining=3) != InsufficientDays(required=4, remaining=2)
    assert CodeExpired() != CodeLocked()
    assert CodeExpired() != "code-expired"


def test_the_same_figures_under_another_code_are_another_problem() -> None:
    class Full(Problem):
        code: ClassVar[str] = "full"
        figures = property(lambda _self: {"free": 1, "needed": 2})

    assert NoCapacity(free=1, needed=2) != Full()


@given(problems, problems)
def test_equal_problems_have_equal_hashes(one: Problem, other: Problem) -> None:
    again = from_record(to_record(one))
    assert hash(again) == hash(one)
    assert one != other or hash(one) == hash(other)


def test_a_problem_says_its_code_and_figures() -> None:
    assert str(InsufficientDays(required=4, remaining=3)) == "insufficient-days: required=4, remaining=3"
    assert str(CodeLocked()) == "code-locked"


def test_a_problem_is_raised_as_it_is() -> None:
    with pytest.raises(TooManyDays, match=r"^too-many-days: days_after=4000, most=3650$"):
        raise TooManyDays(days_after=4000, most=3650)


def test_a_problem_told_among_others_is_the_same_problem_and_knows_them() -> None:
    alone = InsufficientDays(required=4, remaining=3)
    others = (alone, NoCapacity(free=1, needed=2))
    told = InsufficientDays(required=4, remaining=3).among(others)
    assert (told, told.blockers, told.figures) == (alone, others, alone.figures)
    assert alone.blockers == ()
