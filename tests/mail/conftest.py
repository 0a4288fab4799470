"""Certificates for the mail tests."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme


@dataclass(frozen=True)
class Certificates:
    """An authority of our own (its file), and servers that it vouches for, or under another name, or not."""

    ca_file: Path
    good: ssl.SSLContext
    other_name: ssl.SSLContext
    unknown_authority: ssl.SSLContext


def _server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    authority = trustme.CA()
    ca_file = tmp_path_factory.mktemp("certificates") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return Certificates(
        ca_file=ca_file,
        good=_server_context(authority, "127.0.0.1"),
        other_name=_server_context(authority, "elsewhere.example"),
        unknown_authority=_server_context(trustme.CA(), "127.0.0.1"),
    )
