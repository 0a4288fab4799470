"""The e-mailed code: what may be typed, how often, and for how long."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.domain.confirmation import (
    ALPHABET,
    LENGTH,
    CodePolicy,
    CodeState,
    Verdict,
    display,
    normalise,
)
from changeover.domain.problems import RequestInvalid, ResendLimit, ResendTooSoon
from tests.unit.world import MICROSECOND, SECOND, T0

POLICY = CodePolicy()
HANDED_OVER_AT = T0 + timedelta(seconds=5)
FIRST = CodeState(
    number=1,
    handed_over_at=HANDED_OVER_AT,
    wrong_on_code=0,
    wrong_on_change=0,
    window_ends_at=T0 + POLICY.window,
)
UNSENT = replace(FIRST, handed_over_at=None)
THIRD = replace(FIRST, number=3)

codes = st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH)


def test_the_limits_are_the_designs() -> None:
    assert (POLICY.ttl, POLICY.window) == (timedelta(minutes=10), timedelta(minutes=60))
    assert (POLICY.resend_after, POLICY.most_mails) == (timedelta(seconds=60), 3)
    assert (POLICY.tries_per_code, POLICY.tries_per_change) == (5, 10)
    assert (ALPHABET, LENGTH) == ("BCDFGHJKLMNPQRSTVWXZ", 8)


# What may be typed.


@given(codes)
def test_a_displayed_code_is_read_back(code: str) -> None:
    shown = display(code)
    assert shown == f"{code[:4]}-{code[4:]}"
    assert len(shown) == 9
    assert normalise(shown) == code


@pytest.mark.parametrize(
    "typed",
    [
        "BCDFGHJK",
        "bcdf-ghjk",
        "BcDf GhJk",
        "  bcdf ghjk\t\n",
        "bcdf.ghjk.",
        "B-C-D-F-G-H-J-K",
        "BCDF\u2013GHJK",  # en dash
        "BCDF\u2014GHJK",  # em dash
        "BCDF\u2011GHJK",  # non-breaking hyphen
        "BCDF\u00a0GHJK",  # non-breaking space
        "BCDF\u202fGHJK",  # narrow non-breaking space, as French typography has it
        "BCDF\u200bGHJK",  # zero-width space, as copied from a mail
        "\ufeffBCDFGHJK",  # byte order mark
        "«BCDF_GHJK»",
        "\uff22\uff23\uff24\uff26\uff27\uff28\uff2a\uff2b",  # full-width letters
        "\uff42\uff43\uff44\uff46\uff0d\uff47\uff48\uff4a\uff4b",  # full-width, lower case, with a dash
    ],
)
def test_case_spaces_and_punctuation_are_forgiven(typed: str) -> None:
    assert normalise(typed) == "BCDFGHJK"


@given(codes, st.data())
def test_separators_anywhere_and_any_case_are_forgiven(code: str, data: st.DataObject) -> None:
    separators = st.text(" -._\u00a0\u2013\t'\"/", max_size=2)
    typed = "".join(
        data.draw(separators) + data.draw(st.sampled_from([letter, letter.lower()])) for letter in code
    )
    assert normalise(typed + data.draw(separators)) == code


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "----",
        "BCDFGHJ",
        "BCDFGHJKL",
        "BCDF-GHJK BCDF-GHJK",
        "ACDFGHJK",
        "BCDFGHJY",
        "BCDFGHJ0",
        "12345678",
        "BCDFGHJ\u00c9",
        "BCDFGHJ\u0412",  # a Cyrillic letter that looks like B
        "BCDFGHJ\u0392",  # a Greek one
    ],
)
def test_what_cannot_be_a_code_is_refused_without_repeating_it(typed: str) -> None:
    with pytest.raises(RequestInvalid) as refusal:
        normalise(typed)
    assert refusal.value.field == "code"
    assert "BCDFGHJ" not in refusal.value.detail.replace(ALPHABET, "")


@pytest.mark.parametrize("letter", [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" if c not in ALPHABET])
def test_a_letter_or_digit_outside_the_alphabet_is_refused(letter: str) -> None:
    for typed in (letter + "BCDFGHJ", "BCDFGHJ" + letter.lower()):
        with pytest.raises(RequestInvalid):
            normalise(typed)


@given(st.text(max_size=20) | st.text(ALPHABET + " -", max_size=12))
def test_any_text_gives_eight_letters_or_is_refused(typed: str) -> None:
    try:
        code = normalise(typed)
    except RequestInvalid:
        return
    assert len(code) == LENGTH
    assert set(code) <= set(ALPHABET)
    assert normalise(code) == code


# Tries.


@pytest.mark.parametrize(
    ("wrong_on_code", "wrong_on_change", "left"),
    [(0, 0, 5), (1, 1, 4), (4, 4, 1), (5, 5, 0), (0, 5, 5), (0, 6, 4), (3, 9, 1), (0, 10, 0), (7, 12, 0)],
)
def test_tries_left_are_the_fewer_of_5_on_the_code_and_10_on_the_change(
    wrong_on_code: int, wrong_on_change: int, left: int
) -> None:
    state = replace(FIRST, wrong_on_code=wrong_on_code, wrong_on_change=wrong_on_change)
    assert state.tries_left(POLICY) == left


def test_the_fifth_try_is_judged_and_the_sixth_is_not() -> None:
    fifth = replace(FIRST, wrong_on_code=4, wrong_on_change=4)
    assert fifth.verdict(POLICY, HANDED_OVER_AT) is Verdict.JUDGED
    sixth = replace(FIRST, wrong_on_code=5, wrong_on_change=5)
    assert sixth.verdict(POLICY, HANDED_OVER_AT) is Verdict.LOCKED


def test_a_new_code_brings_five_new_tries_and_ten_stay_the_most() -> None:
    second = replace(FIRST, number=2, wrong_on_change=5)
    assert second.verdict(POLICY, HANDED_OVER_AT) is Verdict.JUDGED
    assert second.tries_left(POLICY) == 5
    third = replace(THIRD, wrong_on_change=10)
    assert third.verdict(POLICY, HANDED_OVER_AT) is Verdict.LOCKED


def test_a_void_code_stays_void_after_its_expiry() -> None:
    void = replace(FIRST, wrong_on_code=5, wrong_on_change=5)
    assert void.verdict(POLICY, T0 + timedelta(hours=2)) is Verdict.LOCKED


# How long a code is valid.


def test_a_code_is_valid_for_ten_minutes_from_the_hand_over_and_not_at_their_end() -> None:
    end = HANDED_OVER_AT + timedelta(minutes=10)
    assert FIRST.expires_at(POLICY) == end
    assert FIRST.verdict(POLICY, HANDED_OVER_AT) is Verdict.JUDGED
    assert FIRST.verdict(POLICY, end - MICROSECOND) is Verdict.JUDGED
    assert FIRST.verdict(POLICY, end) is Verdict.EXPIRED
    assert FIRST.verdict(POLICY, end + SECOND) is Verdict.EXPIRED


def test_the_window_caps_the_code() -> None:
    late = replace(THIRD, handed_over_at=T0 + timedelta(minutes=55))
    assert late.expires_at(POLICY) == T0 + timedelta(minutes=60)
    assert late.verdict(POLICY, late.window_ends_at - MICROSECOND) is Verdict.JUDGED
    assert late.verdict(POLICY, late.window_ends_at) is Verdict.EXPIRED


def test_no_code_is_valid_before_its_mail_is_handed_over() -> None:
    assert UNSENT.expires_at(POLICY) is None
    assert UNSENT.verdict(POLICY, T0) is Verdict.EXPIRED


# Resending.


def test_a_new_code_may_be_asked_for_60_s_after_the_last_was_handed_over() -> None:
    after = HANDED_OVER_AT + timedelta(seconds=60)
    assert FIRST.resend_refusal(POLICY, after) is None
    assert FIRST.resend_refusal(POLICY, after - MICROSECOND) == ResendTooSoon(retry_after=1)
    assert FIRST.resend_refusal(POLICY, after - SECOND) == ResendTooSoon(retry_after=1)
    assert FIRST.resend_refusal(POLICY, after - SECOND - MICROSECOND) == ResendTooSoon(retry_after=2)
    assert FIRST.resend_refusal(POLICY, HANDED_OVER_AT) == ResendTooSoon(retry_after=60)


def test_nothing_is_sent_again_while_the_mail_is_on_its_way() -> None:
    assert UNSENT.resend_refusal(POLICY, T0 + timedelta(hours=1)) == ResendTooSoon(retry_after=60)


def test_the_wait_is_told_in_whole_seconds_rounded_up() -> None:
    policy = CodePolicy(resend_after=timedelta(milliseconds=1500))
    assert UNSENT.resend_refusal(policy, T0) == ResendTooSoon(retry_after=2)


def test_third_mail_is_the_last() -> None:
    later = HANDED_OVER_AT + timedelta(minutes=5)
    assert replace(FIRST, number=2).resend_refusal(POLICY, later) is None
    assert THIRD.resend_refusal(POLICY, later) == ResendLimit(most=3)
    assert THIRD.resend_refusal(POLICY, HANDED_OVER_AT) == ResendLimit(most=3)
    assert replace(UNSENT, number=3).resend_refusal(POLICY, later) == ResendLimit(most=3)


# The end.


@pytest.mark.parametrize(
    ("number", "wrong_on_code", "wrong_on_change", "over"),
    [
        (1, 0, 0, False),
        (1, 5, 5, False),  # a second code can be sent
        (2, 5, 9, False),
        (2, 4, 10, True),
        (2, 5, 10, True),
        (3, 4, 4, False),
        (3, 5, 5, True),
        (3, 0, 9, False),
        (3, 1, 10, True),
    ],
)
def test_a_change_is_used_up_when_no_further_try_can_ever_be_judged(
    number: int, wrong_on_code: int, wrong_on_change: int, over: bool
) -> None:
    state = replace(FIRST, number=number, wrong_on_code=wrong_on_code, wrong_on_change=wrong_on_change)
    assert state.used_up(POLICY) is over


@given(st.integers(1, 3), st.integers(0, 6), st.integers(0, 11))
def test_used_up_means_that_no_code_can_be_judged_now_or_later(
    number: int, wrong_on_code: int, wrong_on_change: int
) -> None:
    state = replace(FIRST, number=number, wrong_on_code=wrong_on_code, wrong_on_change=wrong_on_change)
    fresh = replace(state, wrong_on_code=0)
    later_codes = [fresh] if number < POLICY.most_mails else []
    judged = [s for s in (state, *later_codes) if s.verdict(POLICY, HANDED_OVER_AT) is Verdict.JUDGED]
    assert state.used_up(POLICY) == (not judged)


def test_a_change_ends_with_its_window_while_a_new_code_can_be_sent() -> None:
    assert FIRST.ends_at(POLICY) == T0 + timedelta(minutes=60)
    assert replace(FIRST, number=2).ends_at(POLICY) == T0 + timedelta(minutes=60)


def test_a_change_ends_with_its_last_code() -> None:
    assert THIRD.ends_at(POLICY) == HANDED_OVER_AT + timedelta(minutes=10)
    late = replace(THIRD, handed_over_at=T0 + timedelta(minutes=59))
    assert late.ends_at(POLICY) == T0 + timedelta(minutes=60)


def test_a_last_mail_that_is_never_handed_over_ends_with_the_window() -> None:
    assert replace(UNSENT, number=3).ends_at(POLICY) == T0 + timedelta(minutes=60)
