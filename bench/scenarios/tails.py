"""The slowest answers with many at once: nothing but what is judged, and much of it.

Of some hundred answers four decide p99, and one slow second of the machine makes those.
"""

from bench.completeness import check_complete
from bench.customers import Rest, rest_client
from bench.figures import Result
from bench.run import Bench
from bench.scenarios.kinds import PLAIN, Kinds
from bench.scenarios.side_by_side import side_by_side

_TURNS = 5
"""In a round each has so many turns. One lasts for some ten seconds: most of it is not its beginning, when
everybody asks at the same moment."""


async def run(bench: Bench, database: str) -> Result:
    result = Result("tails", database)
    async with bench.system(database) as system, rest_client(system.api_url, system.api_key) as client:
        kinds = Kinds(system, Rest(client))
        turns = bench.size(_TURNS, 1)
        sixteen = {"empty": bench.size(3_000, 8), PLAIN: bench.size(1_000, 8)}
        await side_by_side(bench, kinds, result, sixteen, at_once=bench.size(16, 2), turns=turns)
        fifty = {PLAIN: bench.size(1_500, 8)}
        await side_by_side(bench, kinds, result, fifty, at_once=bench.size(50, 4), turns=turns)
        await check_complete(system, result, completed=kinds.changes)
    return result
