"""`python -m bench.floor_worker ADDRESS QUEUE`: the floor's worker, with the SDK's stock settings."""

import asyncio
import sys

from temporalio.client import Client
from temporalio.worker import Worker

from bench.floor import BareUpdate, Empty, EmptyShape, nothing


async def main(address: str, queue: str) -> None:
    """Serve until the process is ended."""
    client = await Client.connect(address)
    workflows = Worker(
        client, task_queue=queue, workflows=[Empty, BareUpdate, EmptyShape], activities=[nothing]
    )
    mails = Worker(client, task_queue=f"{queue}-mail", activities=[nothing])
    async with workflows, mails:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
