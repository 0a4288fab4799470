"""What operators are shown: frozen views, made from rows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from temporalio.envconfig import ClientConfig

from changeover.domain.lifecycle import OPEN, Stage, outcome
from changeover.domain.teardown import STEPS
from changeover.storage.tasks import Task
from starter.views import ChangeView
from workflows import ids
from workflows.messages import HostWork


@dataclass(frozen=True, kw_only=True)
class ListedChange:
    """A line of the list; `waiting` tasks need attention, the longest `waiting_since`."""

    id: str
    service_id: str
    service: str
    account_id: str
    stage: str
    outcome: str | None
    reason: str | None
    as_of: datetime
    waiting: int
    waiting_since: datetime | None

    @property
    def should_run(self) -> tuple[str, ...]:
        """Return the workflow that must be at work."""
        return (ids.plan_change_workflow_id(self.service_id),) if self.stage in OPEN else ()


@dataclass(frozen=True, kw_only=True)
class TaskView:
    """Work on one server: what of it has its receipt, what is left, and what keeps it from going on."""

    kind: str
    server_id: str
    server: str
    address: str
    state: str
    steps_done: tuple[str, ...]
    steps_left: tuple[str, ...]
    address_held: bool
    problem: str | None
    problem_since: datetime | None
    workflow_id: str


@dataclass(frozen=True, kw_only=True)
class WorkflowLink:
    """A run in Temporal; `path` goes behind the address of the Temporal UI."""

    id: str
    path: str


@dataclass(frozen=True, kw_only=True)
class ShownChange:
    account_id: str
    service: str
    change: ChangeView
    tasks: tuple[TaskView, ...]
    workflows: tuple[WorkflowLink, ...]

    @property
    def should_run(self) -> tuple[str, ...]:
        """Return the workflows that must be at work: the change's, and teardowns that aren't over."""
        if self.change.stage not in OPEN:
            return ()
        teardowns = (
            task.workflow_id
            for task in self.tasks
            if task.kind == HostWork.TEARDOWN and task.state not in {"done", "skipped"}
        )
        return (ids.plan_change_workflow_id(self.change.service_id), *teardowns)


@dataclass(frozen=True, kw_only=True)
class FindingView:
    """What the reconciler found and doesn't heal: people decide."""

    kind: str
    subject: str
    detail: str
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, kw_only=True)
class Decided:
    """Where a decision was taken, and for what."""

    workflow_id: str
    work: tuple[str, ...]


def listed(row: Any, waiting: list[datetime]) -> ListedChange:
    return ListedChange(
        id=row.id,
        service_id=row.service_id,
        service=row.name,
        account_id=row.account_id,
        stage=row.stage,
        outcome=outcome(Stage(row.stage)),
        reason=row.reason,
        as_of=row.as_of,
        waiting=len(waiting),
        waiting_since=min(waiting, default=None),
    )


def task_view(task: Task, done: set[str]) -> TaskView:
    destroys = task.kind == HostWork.TEARDOWN
    return TaskView(
        kind=task.kind,
        server_id=task.server_id,
        server=task.server_name,
        address=task.address,
        state=task.state,
        steps_done=tuple(step.value for step in STEPS if destroys and step in done),
        steps_left=tuple(step.value for step in STEPS if destroys and step not in done),
        address_held=task.address_held,
        problem=task.problem,
        problem_since=task.problem_since,
        workflow_id=(
            ids.teardown_workflow_id(task.server_id)
            if destroys
            else ids.plan_change_workflow_id(task.service_id)
        ),
    )


def link(workflow_id: str) -> WorkflowLink:
    namespace = ClientConfig.load_client_connect_config().get("namespace") or "default"
    return WorkflowLink(
        id=workflow_id,
        path=f"/namespaces/{quote(namespace, safe='')}/workflows/{quote(workflow_id, safe='')}",
    )
