"""The canary itself sings: a secret is found wherever it hides."""

import json

import pytest
from google.protobuf.message import Message
from temporalio.api.common.v1 import Header, Memo, Payload, Payloads, SearchAttributes
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.history.v1 import (
    ActivityTaskFailedEventAttributes,
    HistoryEvent,
    MarkerRecordedEventAttributes,
    WorkflowExecutionStartedEventAttributes,
)

from tests.workflows.canary import leaks, secrets_of
from tests.workflows.world import World

CODE = "BCDF-GHJK"
PLAIN = {"encoding": b"json/plain"}


def hidden(text: str) -> Payload:
    return Payload(metadata=PLAIN, data=json.dumps({"deep": [{"er": text}]}).encode())


def started(**attributes: Message) -> HistoryEvent:
    return HistoryEvent(
        workflow_execution_started_event_attributes=WorkflowExecutionStartedEventAttributes(**attributes)  # type: ignore[arg-type]
    )


def failed(failure: Failure) -> HistoryEvent:
    return HistoryEvent(
        activity_task_failed_event_attributes=ActivityTaskFailedEventAttributes(failure=failure)
    )


EVENTS = {
    "payload": started(input=Payloads(payloads=[hidden(CODE)])),
    "small letters": started(input=Payloads(payloads=[hidden(CODE.lower())])),
    "escaped": started(input=Payloads(payloads=[Payload(metadata=PLAIN, data=b'"\\u0042CDF\\u002dGHJK"')])),
    "key of a map": started(input=Payloads(payloads=[Payload(metadata=PLAIN, data=b'{"BCDF-GHJK": 1}')])),
    "not JSON": started(input=Payloads(payloads=[Payload(data=b"\xff BCDF-GHJK")])),
    "memo": started(memo=Memo(fields={"m": hidden(CODE)})),
    "header": started(header=Header(fields={"h": hidden(CODE)})),
    "search attribute": started(search_attributes=SearchAttributes(indexed_fields={"s": hidden(CODE)})),
    "marker": HistoryEvent(
        marker_recorded_event_attributes=MarkerRecordedEventAttributes(
            details={"data": Payloads(payloads=[hidden(CODE)])}
        )
    ),
    "message of a failure": failed(Failure(message=f"no {CODE}")),
    "stack trace": failed(Failure(stack_trace=f"code = {CODE}")),
    "cause of a failure": failed(Failure(cause=Failure(cause=Failure(message=CODE)))),
    "details of a failure": failed(
        Failure(application_failure_info=ApplicationFailureInfo(details=Payloads(payloads=[hidden(CODE)])))
    ),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=list(EVENTS))
def test_a_code_is_found(event: HistoryEvent) -> None:
    assert leaks(event, [CODE, "elsewhere"]) == [CODE]


async def test_what_is_looked_for_are_addresses_and_codes_in_every_spelling(world: World) -> None:
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    world.typed.append("ZZZZ-ZZZZ")
    assert {world.me.email, code, code.replace("-", ""), "ZZZZZZZZ", "@example.com"} <= secrets_of(world)
