"""`python -m bench.burst`: all the changes of one account at once, from a process of its own.

Lines of JSON on its standard input and output: in comes what to do; out go the ids of changes whose code is
wanted, and in come the codes; the last line out is what everybody waited.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace

from bench.customers import Rest, Wish, confirm, rest_client, timed, wish
from starter.process import settle
from starter.seed_many import Customer

_LONGEST_LINE = 2**20

Codes = Callable[[str], Awaitable[str]]
"""Waits for the code of a change."""


@dataclass(frozen=True, kw_only=True)
class Waited:
    """Seconds for the quote, for the answer, from there to the code's mail, from the code to its commit."""

    quote: float
    request: float
    mail: float
    code: float


async def change(way: Rest, wish: Wish, codes: Codes) -> Waited:
    """Make a change up to its commit."""
    digest, quote = await timed(way.quote(wish))
    change_id, request = await timed(way.request(wish, digest))
    code, mail = await timed(codes(change_id))
    _, committing = await timed(confirm(way, wish, change_id, code))
    return Waited(quote=quote, request=request, mail=mail, code=committing)


class Burst:
    """The process, ready to begin. Make one with `of`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def of(cls, customers: Sequence[Customer], account_id: str, url: str, key: str) -> "Burst":
        """Start the process that asks for what `customers` want, all in the name of one account."""
        command = [sys.executable, "-m", "bench.burst"]
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=_LONGEST_LINE)
        burst = cls(process)
        numbers = [[each.number, each.servers, each.marked] for each in customers]
        await burst._say({"url": url, "key": key, "account": account_id, "customers": numbers})
        if not await burst._output.readline():
            raise RuntimeError("the burst did not begin")
        return burst

    async def whole(self, codes: Codes) -> list[Waited]:
        """Have all of it done. Raises `RuntimeError` when the process ends before."""
        await self._say({"go": True})
        async with asyncio.TaskGroup() as answers:
            while line := await self._output.readline():
                said = json.loads(line)
                if "waited" in said:
                    await self._process.wait()
                    return [Waited(**one) for one in said["waited"]]
                answers.create_task(self._tell(said["change"], codes))
        raise RuntimeError("the burst ended before it was done")

    async def _tell(self, change_id: str, codes: Codes) -> None:
        await self._say({"change": change_id, "code": await codes(change_id)})

    async def _say(self, what: object) -> None:
        assert self._process.stdin is not None, "it was asked for"
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()

    @property
    def _output(self) -> asyncio.StreamReader:
        assert self._process.stdout is not None, "it was asked for"
        return self._process.stdout


class _Codes:
    """Codes as they come in by lines."""

    def __init__(self) -> None:
        self._codes: defaultdict[str, asyncio.Future[str]] = defaultdict(asyncio.Future)

    async def hear(self, lines: asyncio.StreamReader) -> None:
        """Take codes until the input ends: then nobody waits for this process any more."""
        while line := await lines.readline():
            said = json.loads(line)
            self._codes[said["change"]].set_result(said["code"])
        raise EOFError

    async def of(self, change_id: str) -> str:
        _print({"change": change_id})
        return await self._codes[change_id]


def _print(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def main() -> None:
    lines = asyncio.StreamReader(limit=_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    order = json.loads(await lines.readline())
    customers = [
        Customer(number=number, servers=of, marked=marked) for number, of, marked in order["customers"]
    ]
    wishes = [replace(wish(customer), account_id=order["account"]) for customer in customers]
    _print({"ready": True})
    await lines.readline()  # go
    codes = _Codes()
    async with rest_client(order["url"], order["key"]) as client, asyncio.TaskGroup() as group:
        hearing = group.create_task(codes.hear(lines))
        waited = await asyncio.gather(*(change(Rest(client), one, codes.of) for one in wishes))
        hearing.cancel()
    _print({"waited": [asdict(one) for one in waited]})


if __name__ == "__main__":
    settle()
    asyncio.run(main())
