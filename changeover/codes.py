"""Codes are derived, never stored; what travels through Temporal is a proof, never the code.

The worker derives a change's code from `code_key` (a keyed HMAC, RFC 2104, over the change, the number of the
code and the confirmation digest) and mails it. The starter turns what a customer types into a proof under
`proof_key`; the worker makes the same proof of the derived code and compares the two in constant time.
"""

import hashlib
import hmac
from collections.abc import Iterable

from changeover.domain.confirmation import ALPHABET, LENGTH


def derive(code_key: bytes, change_id: str, number: int, confirmation_digest: str) -> str:
    """Return the code number `number` (1, 2, ...) of a change: `LENGTH` letters of `ALPHABET`."""
    message = f"changeover-code\0{change_id}\0{number}\0{confirmation_digest}".encode()
    # 256 bits taken modulo 20^8 (under 2^35): no code is likelier than another by more than 2^-221.
    value = int.from_bytes(hmac.digest(code_key, message, hashlib.sha256))
    letters = []
    for _ in range(LENGTH):
        value, letter = divmod(value, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return "".join(letters)


def proof(proof_key: bytes, change_id: str, code: str) -> str:
    """Return the proof, in hexadecimal, that someone knows a normalised `code` for a change."""
    return hmac.digest(proof_key, f"changeover-proof\0{change_id}\0{code}".encode(), hashlib.sha256).hex()


def matches(expected: str, given: str) -> bool:
    """Compare two proofs in constant time; an empty expectation matches nothing."""
    return bool(expected) and hmac.compare_digest(expected.encode(), given.encode())


def among(expected: Iterable[str], given: str) -> bool:
    """Compare a proof with each of `expected`; how long it takes tells nothing of which one matches."""
    found = [matches(each, given) for each in expected]
    return any(found)
