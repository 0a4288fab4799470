"""A mail catcher for the embedded mode and for tests: it delivers nothing and keeps every mail as a file.

    python -m changeover.mail.catcher --dir DIR --port N

Prints one line of JSON with its host and port when it is ready; ends on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from aiosmtpd.smtp import SMTP, Envelope, Session

_NAME: Final = re.compile(r"(\d{6,})-.*\.eml")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9@._+-]+")
_LONGEST_RECIPIENT: Final = 120


class MailFolder:
    """Mails as files `<n>-<recipient>.eml`, numbered on from those already there.

    Others may read the folder at any time: a file has its name only when it is whole.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(parents=True, exist_ok=True)
        numbers = (int(match[1]) for file in path.iterdir() if (match := _NAME.fullmatch(file.name)))
        self._last = max(numbers, default=0)

    def keep(self, recipient: str, content: bytes) -> Path:
        """Write one mail and return its file."""
        self._last += 1
        name = f"{self._last:06}-{_UNSAFE.sub('_', recipient)[:_LONGEST_RECIPIENT]}.eml"
        unfinished = self._path / f".{name}.part"
        unfinished.write_bytes(content)
        return unfinished.rename(self._path / name)


class _Keeper:
    """What aiosmtpd calls when a mail is complete."""

    def __init__(self, folder: MailFolder) -> None:
        self._folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        try:
            for recipient in envelope.rcpt_tos:
                self._folder.keep(recipient, content)
        except OSError:
            return "452 4.3.1 the mail could not be kept"  # a full disk: the sender tries again
        return "250 2.0.0 kept"


def loopback_address(text: str) -> str:
    """`text` if it is a loopback address; else `ValueError`: caught mail holds codes, so it stays here."""
    if not ipaddress.ip_address(text).is_loopback:
        raise ValueError("only a loopback address")
    return text


@contextlib.asynccontextmanager
async def catching(folder: Path, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[tuple[str, int]]:
    """Catch mail for as long as the block runs; yields host and port. Port 0 is any free one."""
    loopback_address(host)
    keeper = _Keeper(MailFolder(folder))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(keeper, hostname="localhost", loop=loop), host, port)
    try:
        address = server.sockets[0].getsockname()
        yield address[0], address[1]
    finally:
        server.close()


async def _run(folder: Path, host: str, port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with catching(folder, host=host, port=port) as (bound_host, bound_port):
        sys.stdout.write(json.dumps({"host": bound_host, "port": bound_port}) + "\n")
        sys.stdout.flush()
        await ended.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the catcher until it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m changeover.mail.catcher", description="Keep every mail.")
    parser.add_argument("--dir", type=Path, required=True, help="the folder for the mails")
    parser.add_argument("--port", type=int, required=True, help="the port to listen on; 0 is any free one")
    parser.add_argument("--host", type=loopback_address, default="127.0.0.1", help="a loopback address")
    options = parser.parse_args(arguments)
    asyncio.run(_run(options.dir, options.host, options.port))


if __name__ == "__main__":
    main()
