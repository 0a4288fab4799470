"""One, two, three worker processes of ours on one Temporal server and one database."""

from bench.completeness import check_complete
from bench.customers import Rest, drive, rest_client
from bench.figures import Result
from bench.run import Bench
from bench.scenarios.kinds import PLAIN, Kinds
from bench.usage import used

AT_ONCE = 16


async def run(bench: Bench, database: str) -> Result:
    result = Result("workers", database)
    async with bench.system(database) as system, rest_client(system.api_url, system.api_key) as client:
        kinds = Kinds(system, Rest(client))
        for number in bench.rounds_with_warm_up():
            for workers in bench.size((1, 2, 3), (1, 2)):
                await system.run_workers(workers)
                warm_up = await kinds.jobs(PLAIN, 2 * AT_ONCE if not bench.quick else 4)
                await drive(warm_up, AT_ONCE)  # a worker that was just started has empty pools
                jobs = await kinds.jobs(PLAIN, bench.size(96, 8))
                processes = system.our_processes
                before = processes.cpu()
                times, seconds = await drive(jobs, AT_ONCE)
                cpu = used(before, processes.cpu())
                if number:
                    result.add(f"{workers} workers: rate", "/s", len(times) / seconds)
                    waited = [one.request for one in times if one.request is not None]
                    result.add_times(f"{workers} workers: request", waited)
                    result.add(f"{workers} workers: CPU", "ms", 1000 * sum(cpu.values()) / len(times))
            bench.say(f"round {number} of {bench.rounds}")
        await check_complete(system, result, completed=kinds.changes)
    return result
