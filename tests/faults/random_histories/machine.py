"""Who acts next, and how, is hypothesis's choice; a history that fails is made as short as it can be."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from changeover.storage import schema
from changeover.storage.database import Database
from starter.plan_changes import PlanChanges
from tests.faults.random_histories import judging
from tests.faults.random_histories.model import CODE_SECONDS, WINDOW_SECONDS, Change, Service, Wish
from tests.faults.random_histories.play import Play
from tests.faults.story import WRONG
from tests.storage.rows import load_catalogue
from tests.support.temporal import running_temporal
from tests.workflows.faults import ShakyDatabase, post_office
from tests.workflows.system import no_patience_with_hosts, short_patience
from tests.workflows.world import World

MINUTE = 61
"""Seconds; a second more than a new code takes."""
TROUBLES = (
    "workers restart",
    "workers are cancelled",
    "answers lost",
    "database away",
    "mail deferred",
    "mail taken, answer lost",
    "mail refused",
    "delete_data",
    "apply_limits",
    "host heals",
)
which = st.integers(0, 1)
offers = st.sampled_from(["blocks", "blocks", "classic", "island"])
options = st.sets(st.sampled_from(["backups", "flexi_plus"]))
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def machine(world: World, database: Database, run: Run) -> type[RuleBasedStateMachine]:
    """Return the machine that plays on this world."""

    class RandomHistory(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.play = Play(world, database)
            self.begun = False

        def service(self, index: int) -> Service:
            return self.play.model.services[index]

        def last(self, index: int) -> Change | None:
            return self.service(index).last

        @initialize(
            passes=st.integers(0, 2),
            counts=st.tuples(st.integers(1, 3), st.integers(1, 3)),
            flexi=st.booleans(),
            cooling=st.booleans(),
        )
        def begin(self, passes: int, counts: tuple[int, int], flexi: bool, cooling: bool) -> None:
            run(self.play.begin(passes, counts, flexi, cooling=cooling))
            self.begun = True

        # Customers.

        @rule(index=which, server=st.integers(0, 2), undo=st.booleans())
        def mark(self, index: int, server: int, undo: bool) -> None:
            run(self.play.mark(self.service(index), server, undo=undo))

        @rule(index=which, days=st.integers(1, 60))
        def renew(self, index: int, days: int) -> None:
            run(self.play.renew(self.service(index), days))

        def wish(self, index: int, offer: str, slots: int, options: set[str], more: int) -> Wish:
            kept = len(self.service(index).held) - len(self.service(index).marked)
            return Wish(offer, slots, frozenset(options), kept + more)

        @rule(index=which, offer=offers, slots=st.integers(7, 65), options=options, more=st.integers(-1, 2))
        def quote(self, index: int, offer: str, slots: int, options: set[str], more: int) -> None:
            run(self.play.quote(self.service(index), self.wish(index, offer, slots, options, more)))

        @rule(
            index=which,
            offer=st.sampled_from(["blocks", "blocks", "classic"]),
            slots=st.sampled_from([8, 20, 32, 64]),
            options=options,
            more=st.sampled_from([0, 0, 0, 0, 1, -1]),
            stale=st.sampled_from([False, False, False, True]),
            forgets=st.sampled_from([False, False, False, True]),
        )
        def confirm(
            self,
            index: int,
            offer: str,
            slots: int,
            options: set[str],
            more: int,
            stale: bool,
            forgets: bool,
        ) -> None:
            allowed = options if offer == "blocks" else set()
            wish = self.wish(index, offer, slots, allowed, more)
            run(self.play.confirm(self.service(index), wish, stale=stale, forgets=forgets))

        def has_asked(self) -> bool:
            return self.begun and any(service.last for service in self.play.model.services)

        def asked(self, index: int) -> tuple[Service, Change]:
            """Return a service that has a change, the one meant if it can be."""
            services = self.play.model.services
            service = services[index] if services[index].last else services[1 - index]
            assert service.last is not None
            return service, service.last

        @precondition(has_asked)
        @rule(index=which)
        def type_the_right_code(self, index: int) -> None:
            service, change = self.asked(index)
            if change.codes:
                run(self.play.type(service, change, change.codes[-1]))

        @precondition(has_asked)
        @rule(index=which, number=st.integers(0, 1))
        def type_an_old_code(self, index: int, number: int) -> None:
            service, change = self.asked(index)
            if change.codes:
                run(self.play.type(service, change, change.codes[number % len(change.codes)]))

        @precondition(has_asked)
        @rule(index=which, first=st.integers(0, 9), times=st.integers(1, 6))
        def type_wrong_codes(self, index: int, first: int, times: int) -> None:
            service, change = self.asked(index)
            for code in WRONG[first : first + times]:
                run(self.play.type(service, change, code))

        @precondition(has_asked)
        @rule(index=which, patiently=st.booleans())
        def resend(self, index: int, patiently: bool) -> None:
            service, change = self.asked(index)
            if patiently and change.stage == "awaiting_code":
                run(self.play.wait(service, change, MINUTE))
            run(self.play.resend(change))

        @precondition(has_asked)
        @rule(index=which, by_operator=st.booleans())
        def cancel(self, index: int, by_operator: bool) -> None:
            _, change = self.asked(index)
            run(self.play.cancel(change, by_operator=by_operator))

        # The host, time and faults.

        @rule(offer=st.sampled_from(["blocks", "classic"]), per_slot=st.sampled_from([60, 100, 150]))
        def reprice(self, offer: str, per_slot: int) -> None:
            run(self.play.reprice(offer, per_slot))

        @rule()
        def grant_a_pass(self) -> None:
            run(self.play.grant_pass())

        @precondition(has_asked)
        @rule(index=which, seconds=st.sampled_from([MINUTE, CODE_SECONDS + MINUTE, WINDOW_SECONDS + MINUTE]))
        def wait(self, index: int, seconds: int) -> None:
            service, change = self.asked(index)
            least = WINDOW_SECONDS / 2  # so that nothing comes near the window's end but what goes beyond
            if change.stage == "awaiting_code" and (change.skipped < least or seconds > least):
                run(self.play.wait(service, change, seconds))

        @rule(kind=st.sampled_from(TROUBLES))
        def trouble(self, kind: str) -> None:
            run(self.play.trouble(kind))

        # Operators.

        @precondition(has_asked)
        @rule(index=which)
        def retry(self, index: int) -> None:
            run(self.play.retry(*self.asked(index)))

        @precondition(has_asked)
        @rule(index=which, evidence=st.booleans())
        def skip(self, index: int, evidence: bool) -> None:
            run(self.play.skip(*self.asked(index), evidence=evidence))

        @rule(index=which, server=st.integers(0, 5))
        def give_evidence(self, index: int, server: int) -> None:
            servers = self.service(index).servers
            run(self.play.evidence(servers[server % len(servers)]))

        # What must hold after each act, and at the end.

        @invariant()
        def agrees_with_the_model(self) -> None:
            if self.begun:
                run(self.play.agree())

        def teardown(self) -> None:
            if self.begun:
                run(self.play.end())
                found = run(judging.broken(self.play))
                assert not found, "\n".join(found)

    return RandomHistory


@contextmanager
def open_world(database_url: str | None = None) -> Iterator[tuple[World, Database, Run]]:
    """Run a world on a loop of its own; on SQLite unless an empty database is given."""
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        short_patience(patch)
        no_patience_with_hosts(patch)
        stack = AsyncExitStack()

        async def begin() -> tuple[World, Database]:
            temporal = await stack.enter_async_context(running_temporal())
            post = await stack.enter_async_context(post_office(Path(folder) / "mail"))
            world = World(temporal, Path(folder), post)
            url = database_url or world.settings.database_url
            world.settings = world.settings.model_copy(update={"database_url": url})
            await schema.upgrade(url)
            world.database = ShakyDatabase(url)
            world.starter = PlanChanges(world.settings, temporal.client)
            await load_catalogue(world.database)
            await world.start_workers()
            stack.push_async_callback(world.close)
            quiet = Database(url)
            stack.push_async_callback(quiet.close)
            return world, quiet

        world, quiet = runner.run(begin())
        try:
            yield world, quiet, runner.run
        finally:
            runner.run(stack.aclose())


def play_random_histories(
    world: World, database: Database, run: Run, *, examples: int, steps: int, dice: int | None
) -> None:
    """Play `examples` histories of at most `steps` acts. `dice` is a seed; None: the same ones every time."""
    rules = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=dice is None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    played = machine(world, database, run)
    run_state_machine_as_test(played if dice is None else seed(dice)(played), settings=rules)
