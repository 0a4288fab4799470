"""By what operators find runs. One unregistered would stop every workflow task: the worker registers them."""

from datetime import datetime
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

from changeover.domain.lifecycle import CLOSED, Stage

SERVICE = SearchAttributeKey.for_keyword("ChangeoverService")
ACCOUNT = SearchAttributeKey.for_keyword("ChangeoverAccount")
STAGE = SearchAttributeKey.for_keyword("ChangeoverStage")
OUTCOME = SearchAttributeKey.for_keyword("ChangeoverOutcome")
DEADLINE: SearchAttributeKey[datetime] = SearchAttributeKey.for_datetime("ChangeoverDeadline")
NEEDS_ATTENTION = SearchAttributeKey.for_bool("ChangeoverNeedsAttention")

_KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD

TYPES: dict[str, IndexedValueType.ValueType] = {
    SERVICE.name: _KEYWORD,
    ACCOUNT.name: _KEYWORD,
    STAGE.name: _KEYWORD,
    OUTCOME.name: _KEYWORD,
    DEADLINE.name: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    NEEDS_ATTENTION.name: IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
}
"""What the namespace must have, by name."""


def at_start(
    service_id: str,
    account_id: str,
    stage: Stage,
    *,
    outcome: str | None = None,
    deadline: datetime | None = None,
) -> TypedSearchAttributes:
    """Return the attributes that a run of the service's change has from its start: they cost no event."""
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(SERVICE, service_id),
        SearchAttributePair(ACCOUNT, account_id),
        SearchAttributePair(STAGE, stage.value),
        SearchAttributePair(NEEDS_ATTENTION, False),
    ]
    if outcome is not None:
        pairs.append(SearchAttributePair(OUTCOME, outcome))
    if deadline is not None:
        pairs.append(SearchAttributePair(DEADLINE, deadline))
    return TypedSearchAttributes(pairs)


def of_account(account_id: str) -> TypedSearchAttributes:
    """Return the attribute by which a run about an account, and no service, is found."""
    return TypedSearchAttributes([SearchAttributePair(ACCOUNT, account_id)])


class Shown:
    """What a run shows of itself. An attribute is written only when it changes: each write is an event."""

    def __init__(self, stage: Stage) -> None:
        self._values: dict[str, object] = {
            STAGE.name: stage.value,
            NEEDS_ATTENTION.name: False,
            DEADLINE.name: None,
        }

    def updates(
        self, stage: Stage, reason: str | None, deadline: datetime | None, *, troubled: bool
    ) -> list[SearchAttributeUpdate[Any]]:
        """Return the writes that bring what is shown to this state."""
        stage = Stage.NEEDS_ATTENTION if troubled else stage
        wanted: list[SearchAttributeUpdate[Any]] = [
            STAGE.value_set(stage.value),
            NEEDS_ATTENTION.value_set(troubled),
            DEADLINE.value_unset() if deadline is None else DEADLINE.value_set(deadline),
        ]
        if stage in CLOSED:
            wanted.append(OUTCOME.value_set(reason or stage.value))
        changed = [update for update in wanted if self._values.get(update.key.name) != update.value]
        self._values.update({update.key.name: update.value for update in changed})
        return changed
