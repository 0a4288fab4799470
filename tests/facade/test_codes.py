"""Codes and proofs: derived, alike to nothing, and compared strictly."""

from collections import Counter
from hashlib import sha256
from hmac import new

import pytest

from changeover import codes
from changeover.domain.confirmation import ALPHABET, LENGTH

KEY, CHANGE, DIGEST = b"k" * 32, "3f2b8c1e-5d4a-4e6f-8a7b-9c0d1e2f3a4b", "d" * 64


def test_a_code_is_eight_letters_and_always_the_same() -> None:
    code = codes.derive(KEY, CHANGE, 1, DIGEST)
    assert len(code) == LENGTH == 8
    assert set(code) <= set(ALPHABET)
    assert codes.derive(KEY, CHANGE, 1, DIGEST) == code


def test_a_code_is_the_hmac_in_base_twenty() -> None:
    message = f"changeover-code\0{CHANGE}\x002\0{DIGEST}".encode()
    number = int(new(KEY, message, sha256).hexdigest(), 16) % 20**8
    letters = "".join(ALPHABET[number // 20**place % 20] for place in range(8))
    assert codes.derive(KEY, CHANGE, 2, DIGEST) == letters


@pytest.mark.parametrize(
    ("key", "change", "number", "digest"),
    [
        (b"l" * 32, CHANGE, 1, DIGEST),
        (KEY, CHANGE[:-1] + "c", 1, DIGEST),
        (KEY, CHANGE, 2, DIGEST),
        (KEY, CHANGE, 1, "e" * 64),
        (KEY, CHANGE, 11, DIGEST),
    ],
)
def test_whatever_differs_gives_another_code(key: bytes, change: str, number: int, digest: str) -> None:
    assert codes.derive(key, change, number, digest) != codes.derive(KEY, CHANGE, 1, DIGEST)


def test_every_letter_is_about_as_likely_in_every_place() -> None:
    drawn = [codes.derive(KEY, f"change-{number}", 1, DIGEST) for number in range(20_000)]
    assert len(set(drawn)) > 19_990
    for place in range(LENGTH):
        counts = Counter(code[place] for code in drawn)
        assert set(counts) == set(ALPHABET)
        # 19 degrees of freedom: above 55 once in 30,000 places
        assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 55


def test_a_proof_is_for_one_change_one_code_and_one_key() -> None:
    proof = codes.proof(KEY, CHANGE, "BCDFGHJK")
    assert len(proof) == 64
    assert codes.matches(proof, codes.proof(KEY, CHANGE, "BCDFGHJK"))
    for other in (
        codes.proof(b"l" * 32, CHANGE, "BCDFGHJK"),
        codes.proof(KEY, "another", "BCDFGHJK"),
        codes.proof(KEY, CHANGE, "BCDFGHJL"),
    ):
        assert not codes.matches(proof, other)
    assert "BCDFGHJK" not in proof


def test_a_proof_is_no_code_under_the_same_key() -> None:
    derived = codes.derive(KEY, CHANGE, 1, DIGEST)
    assert codes.proof(KEY, CHANGE, derived) != codes.proof(KEY, CHANGE, codes.derive(KEY, CHANGE, 2, DIGEST))


@pytest.mark.parametrize("given", ["", "0" * 64])
def test_an_empty_expectation_matches_nothing(given: str) -> None:
    assert not codes.matches("", given)


def test_a_proof_must_match_whole() -> None:
    proof = codes.proof(KEY, CHANGE, "BCDFGHJK")
    assert not codes.matches(proof, proof[:-1])
    assert not codes.matches(proof, "")
    assert not codes.matches(proof, "é")  # as only a forger sends it
