"""Secrets that are given out once and kept as hashes only."""

import hashlib
import secrets

_BYTES = 32


def new_token(prefix: str = "") -> str:
    """Return 256 random bits as text that can stand in a header or a URL."""
    return prefix + secrets.token_urlsafe(_BYTES)


def hashed(token: str) -> str:
    """Return the SHA-256, in hexadecimal. With 256 random bits in it no salt and no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()
