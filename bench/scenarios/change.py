"""Whole changes beside the floor, one at a time and many at once."""

from bench.completeness import check_complete
from bench.customers import Rest, rest_client
from bench.figures import Result
from bench.run import Bench
from bench.scenarios.kinds import AFTER_A_PAUSE, BY_REST, FLOOR, PLAIN, VARIANTS, Kinds
from bench.scenarios.side_by_side import side_by_side

PLAIN_BY_REST = f"{PLAIN}{BY_REST}"
TYPED = f"one server{AFTER_A_PAUSE}"
"""For the code on a run at rest, as a bare update's is; without a pause it meets the end of the mail."""

_TURNS = 8
"""One at a time, a round goes so often through all kinds: 40 empty workflows in a row are over in half a
second, and one bad second would make or break the ratio of the round."""

_MANY = {10: 200, 16: 400, 50: 200, 200: 200}
"""Changes of a kind in a round, by how many are made at once."""

_EMPTY_TIMES = 4
"""So many times as many empty workflows at once as changes, which take about as many times as long: the CPU
of what runs without any workflow, too, weighs as little."""

_LATER_SECONDS = 11
"""Temporal looks at each workflow task once more when the time it could have taken (10 s) is over. That is a
part of what a change costs it, and must not fall into the next kind's time."""


async def run(bench: Bench, database: str) -> Result:
    """Measure the kinds side by side, in every round: a slow minute slows all of them."""
    result = Result("change", database)
    async with bench.system(database) as system, rest_client(system.api_url, system.api_key) as client:
        kinds = Kinds(system, Rest(client))
        await kinds.look_at_histories(result)
        one_at_a_time = [*FLOOR, *VARIANTS, TYPED, PLAIN_BY_REST]
        counts = dict.fromkeys(one_at_a_time, bench.size(10 * _TURNS, 2))
        await side_by_side(bench, kinds, result, counts, at_once=1, turns=_TURNS)
        for number in bench.rounds_with_warm_up():
            await kinds.look_at_times(result if number else Result("warm-up", database), bench.size(40, 1))
            bench.say(f"step by step: round {number} of {bench.rounds}")
        for at_once, count in bench.size(_MANY, {4: 8}).items():
            counts = dict.fromkeys(["empty", "empty shape", PLAIN, PLAIN_BY_REST], count)
            counts["empty"] *= _EMPTY_TIMES
            later = bench.size(_LATER_SECONDS, 1)
            await side_by_side(bench, kinds, result, counts, at_once=at_once, later=later)
        for part, megabytes in system.our_processes.memory().items():
            result.add(f"memory of {part} at the end", "MB", megabytes)
        await check_complete(system, result, completed=kinds.changes)
    return result
