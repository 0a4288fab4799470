"""The worker: settings -> adapters -> activities -> workers. Nobody imports it; it is started as a process.

`python worker.py` serves both task queues until SIGTERM or SIGINT, then finishes what it has begun (30 s at
most). `python worker.py --check` says how its keys, its host and its mail server are, as JSON lines. Its exit
codes are those of `changeover`.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta
from typing import Any, NoReturn

from pydantic import ValidationError
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.runtime import Runtime
from temporalio.service import RPCError
from temporalio.worker import (
    PollerBehaviorAutoscaling,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkerDeploymentConfig,
)

from activities.assembly import Activities
from activities.observation import Observation
from changeover import failpoints, surroundings
from changeover.adapters import (
    CannotStart,
    Parts,
    build_parts,
    check_host,
    check_keys,
    check_schema,
)
from changeover.domain.problems import EngineUnavailable
from changeover.hosts import HostError
from changeover.mail import LANGUAGES, MailError
from changeover.settings import SettingsUnreadable, WorkerSettings, load, mistakes
from changeover.storage.catalogue import CatalogueMissing
from changeover.telemetry import logs, tracing
from changeover.telemetry.listener import CannotListen, listening
from changeover.telemetry.probes import Probes
from changeover.telemetry.sdk import SdkTelemetry
from starter.cli import exits
from starter.engine import connect_to_temporal, temporal_address, temporal_answers
from starter.namespace import NamespaceIncomplete, register_search_attributes
from starter.process import leave, settle
from starter.schedule import ensure_schedule
from workflows import ids
from workflows.evidence import Evidence
from workflows.forget_account import ForgetAccount
from workflows.outcome_mail import OutcomeMail
from workflows.plan_change import PlanChange
from workflows.reconciler import Reconcile
from workflows.server_teardown import ServerTeardown

GRACE = timedelta(seconds=30)
CACHED_RUNS = 400
"""Runs that a worker keeps in memory, an eighth of a megabyte each; others are read from their history at
each task. With 200, one account's burst of 1,000 changes made its neighbours wait nine times as long as alone
(docs/benchmarks.md)."""
POLLERS = PollerBehaviorAutoscaling(minimum=5)
"""How a worker asks for tasks: by as many calls at once as Temporal suggests, but never fewer than the SDK's
stock five. With one, who came after a quiet second waited up to a second for a call (docs/benchmarks.md)."""
WORKFLOWS = [PlanChange, ServerTeardown, OutcomeMail, Evidence, ForgetAccount, Reconcile]

_log = logging.getLogger("changeover.worker")


def build_workers(client: Client, settings: WorkerSettings, parts: Parts) -> list[Worker]:
    """Return the worker of changes and the worker of mails, which has a queue and a rate of its own."""
    activities = Activities(settings, parts)
    parts.figures.failures_at_zero(it.__name__ for it in (*activities.of_changes(), *activities.of_mails()))
    changes = Worker(
        client,
        task_queue=settings.task_queue,
        workflows=WORKFLOWS,
        activities=activities.of_changes(),
        interceptors=[Observation(parts.figures)],
        workflow_runner=UnsandboxedWorkflowRunner(),  # docs/decisions, "Workflows run without a sandbox"
        max_cached_workflows=CACHED_RUNS,
        graceful_shutdown_timeout=GRACE,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=5),
        deployment_config=deployment(settings),
        workflow_task_poller_behavior=POLLERS,
        activity_task_poller_behavior=POLLERS,
    )
    mail = Worker(
        client,
        task_queue=ids.mail_queue(settings.task_queue),
        activities=activities.of_mails(),
        deployment_config=deployment(settings),
        interceptors=[Observation(parts.figures)],
        max_task_queue_activities_per_second=settings.mails_per_second,
        graceful_shutdown_timeout=GRACE,
        activity_task_poller_behavior=POLLERS,  # else a busy Temporal serves mails last
    )
    return [changes, mail]


def deployment(settings: WorkerSettings) -> WorkerDeploymentConfig | None:
    """Return this worker's place in a versioned deployment, or None. Runs move on to the current version."""
    if settings.worker_deployment is None or settings.worker_build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(settings.worker_deployment, settings.worker_build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


class TemporalAway(CannotStart):
    """Temporal doesn't answer."""


async def connect(settings: WorkerSettings, runtime: Runtime | None = None) -> Client:
    try:
        return await connect_to_temporal(settings, runtime=runtime)
    except EngineUnavailable:
        pass
    raise TemporalAway(
        f"Temporal doesn't answer at {temporal_address()}; are TEMPORAL_ADDRESS and TEMPORAL_TLS_* right?"
    )


async def explain(check: Awaitable[Any]) -> Any:
    """Await `check`; turn what can be wrong around a worker into `CannotStart`."""
    try:
        return await check
    except CannotStart:
        raise
    except (CatalogueMissing, HostError, MailError, NamespaceIncomplete) as error:
        wrong = str(error)
    except RPCError as error:
        raise TemporalAway(f"no answer from Temporal ({error.status.name}: {error})") from None
    except OSError as error:
        wrong = f"no answer ({type(error).__name__}: {error})"
    except Exception as error:  # noqa: BLE001 - a database driver's own; its text may hold the password
        wrong = f"no answer ({type(error).__name__})"
    raise CannotStart(wrong)


async def serve(settings: WorkerSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)
    parts = build_parts(settings)
    await explain(check_schema(settings, parts))
    await explain(check_host(settings, parts))
    try:
        await explain(check_keys(settings, parts))
    except CannotStart as missing:
        _log.error("%s", missing)  # what needs no missing key must go on
    sdk = SdkTelemetry(figures=settings.worker_listen is not None)
    client = await connect(settings, sdk.runtime)
    await explain(register_search_attributes(client))
    every = timedelta(minutes=settings.reconcile_minutes)
    await explain(ensure_schedule(client, settings.task_queue, every))
    workers = build_workers(client, settings, parts)
    try:
        async with answering(settings, parts, client, workers, sdk, stopping):
            await run(workers, stopping)
    finally:
        await parts.database.close()


async def run(workers: Sequence[Worker], stopping: asyncio.Event) -> None:
    """Run the workers until `stopping`; then let them finish what they have begun."""
    running = [asyncio.create_task(worker.run()) for worker in workers]
    settle()
    _log.info("ready: serving %s", " and ".join(worker.task_queue for worker in workers))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([stop, *running], return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    _log.info("stopping: finishing what is begun")
    await asyncio.gather(*(worker.shutdown() for worker in workers))
    ends = await asyncio.gather(*running, return_exceptions=True)
    broken = [type(end).__name__ for end in ends if isinstance(end, Exception)]
    if broken:
        raise CannotStart(f"it was running, and broke off ({', '.join(broken)}); the log says more")


def answering(  # noqa: PLR0917 - a composition
    settings: WorkerSettings,
    parts: Parts,
    client: Client,
    workers: Sequence[Worker],
    sdk: SdkTelemetry,
    stopping: asyncio.Event,
) -> AbstractAsyncContextManager[object]:
    """Answer /metrics, /livez and /readyz for the block, where the settings say so."""
    if settings.worker_listen is None:
        return nullcontext()

    def serving() -> str:
        if stopping.is_set():
            return "stopping"
        return "ok" if all(worker.is_running for worker in workers) else "not running"

    async def figures() -> bytes:
        return parts.figures.text() + await sdk.text()

    probes = Probes(
        parts.database,
        parts.figures.registry,
        lambda: temporal_answers(client),
        needs_temporal=True,
        serving=serving,
    )
    return listening(settings.worker_listen, probes, figures)


async def check(settings: WorkerSettings, *, send_to: str | None, language: str) -> NoReturn:
    """Print what is right and wrong, and end: without waiting for a host whose disk hangs."""
    well = await surroundings.report(surroundings.Surroundings(settings, send_to=send_to, language=language))
    leave(exits.OK if well else exits.REFUSED)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="worker.py", description="Changeover's worker.")
    parser.add_argument("--check", action="store_true", help="check keys, host and mail server, and end")
    parser.add_argument("--send-to", metavar="ADDRESS", help="with --check: send a real test mail there")
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language of that mail")
    options = parser.parse_args(arguments)
    try:
        settings = load(WorkerSettings)
        logs.configure(settings.log_format, settings.log_level)
        if armed := failpoints.arm(os.environ):
            _log.warning("failpoints are armed, this process is to fail: %s", ", ".join(armed))
        if options.check:
            asyncio.run(check(settings, send_to=options.send_to, language=options.lang))
        if settings.tracing:
            tracing.start("changeover-worker")
        asyncio.run(serve(settings))
    except (
        CannotListen,
        CannotStart,
        SettingsUnreadable,
        failpoints.FailpointsInvalid,
        tracing.TracingMissing,
    ) as wrong:
        sys.stderr.write(f"the worker can't start: {wrong}\n")
        leave(exits.ENGINE if isinstance(wrong, TemporalAway) else exits.SETTINGS)
    except ValidationError as wrong:
        for mistake in mistakes(wrong):
            sys.stderr.write(f"the worker can't start: {mistake}\n")
        leave(exits.SETTINGS)
    leave(exits.OK)


if __name__ == "__main__":
    main()
