"""The slowest answers with many at once: little beyond what is judged, and much of it.

Of some hundred answers four decide p99, and one slow second of the machine makes those.
"""

from bench.completeness import check_complete
from bench.customers import Rest, rest_client
from bench.figures import Result
from bench.run import Bench
from bench.scenarios.kinds import PLAIN, Kinds
from bench.scenarios.side_by_side import side_by_side

_TURNS = 5
"""In a round each has so many turns, of some ten seconds: a slow minute slows both."""

_OVER_SECONDS = 2.0
"""A turn's customers come one after the other, as customers do, and each makes one change after the other.
When all begin in the same moment, as in `change`, p99 is what the first change of each took."""


async def run(bench: Bench, database: str) -> Result:
    result = Result("tails", database)
    async with bench.system(database) as system, rest_client(system.api_url, system.api_key) as client:
        kinds = Kinds(system, Rest(client))
        turns, over = bench.size((_TURNS, _OVER_SECONDS), (1, 0.1))
        await kinds.look_at_histories(result)  # the empty shape is taken from one
        sixteen = {
            "empty": bench.size(3_000, 8),
            "empty shape": bench.size(1_000, 8),
            PLAIN: bench.size(1_000, 8),
        }
        fifty = {PLAIN: bench.size(1_500, 8)}
        for at_once, counts in ((bench.size(16, 2), sixteen), (bench.size(50, 4), fifty)):
            await side_by_side(
                bench, kinds, result, counts, at_once=at_once, turns=turns, over=over, slowest=True
            )
        await check_complete(system, result, completed=kinds.changes)
    return result
