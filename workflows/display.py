"""What operators read of a run in the Temporal UI (Markdown), written for whoever is on call at night.

First where the run stands and what it waits for, then what can be done about it, with the very update to
send: its name, and its input to paste.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

from changeover.domain.confirmation import CodePolicy, CodeState
from changeover.domain.lifecycle import CLOSED, COMMITTED, AbandonReason, Stage
from changeover.domain.teardown import PROVES_DELETION, STEPS, Step
from workflows import ids
from workflows.messages import ChangeState, Recap, StepDone, TeardownOrder, TeardownResult
from workflows.operators import YOUR_NAME, YOUR_REASON
from workflows.troubles import Waiting

_STEPS = ", ".join(f"`{step}`" for step in STEPS)
_OVER = {
    Stage.REJECTED: "Refused by a rule: nothing was changed, the customer was told why. Nothing to do.",
    Stage.ABANDONED: "Over: nothing was changed, nothing was destroyed. The customer may ask again.",
    Stage.COMPLETED: "Done: the change is in force and all work on hosts is finished.",
}
_TORN_DOWN = {
    "destroyed": "Done: `changeover ops show` has the receipt of each step, and says which were skipped.",
    "refused": "No committed change orders this: nothing was touched.",
}
_NOTHING_YET = "Nothing to do: what fails is tried again for hours. Only then does it need attention."
_ABANDONED: Mapping[str, str] = {
    AbandonReason.TOO_MANY_TRIES: "Wrong codes used up all tries. Many of one account: is somebody guessing?",
    AbandonReason.WINDOW_OVER: "No right code came in time. Many of them: do mails arrive?",
    AbandonReason.CANCELLED: "Given up by the customer or an operator: `changeover ops show` says by whom.",
    AbandonReason.MAIL_REFUSED: "The mail server refused the address for good: it must be corrected first.",
    AbandonReason.STALE: "What was confirmed had changed meanwhile: the customer needs a new quote.",
    AbandonReason.INTERRUPTED: "Its run was terminated by somebody.",
}


def change_details(
    recap: Recap, state: ChangeState, troubles: Mapping[str, Waiting], torn: Mapping[str, Waiting]
) -> str:
    """Return the current details of a change. `torn` are the teardowns that wait, by server id."""
    stage = Stage.NEEDS_ATTENTION if troubles or torn else state.stage
    why = [it for it in (state.reason, state.cause) if it]
    heading = ", ".join((f"stage: **{stage}**", *why))
    facts = [heading, *_standing(recap, state, stage)]
    facts += [f"{_since(it)}: {name}: {it.problem}" for name, it in troubles.items()]
    names = {server.server_id: server.name for server in recap.gives_up}
    facts += [
        f"{_since(it)}: destroying {names.get(server)} (`{server}`): {it.problem}"
        for server, it in torn.items()
    ]
    facts += _recap(recap, state)
    return "\n\n".join((as_list(facts), *_what_to_do(recap, state.reason, stage, troubles, torn)))


def teardown_details(
    order: TeardownOrder, waiting: Waiting | None, result: TeardownResult | None = None
) -> str:
    """Return the current details of a teardown."""
    stage = Stage.NEEDS_ATTENTION if waiting else Stage.COMPLETED if result else Stage.APPLYING
    facts = [
        f"stage: **{stage}**" + (f", {result.outcome}" if result else ""),
        f"server `{order.server_id}`, given up by change `{order.change_id}`",
    ]
    if result is not None:
        return "\n\n".join((as_list(facts), _TORN_DOWN[result.outcome]))
    if waiting is None:
        facts.append("waiting for: the host (see pending activities)")
        plan = f"The steps are {_STEPS}. Confirmed and committed: it can't be undone, only finished."
        return "\n\n".join((as_list(facts), plan, _NOTHING_YET))
    facts.append("waiting for: an operator")
    done = {it.step: it for it in waiting.steps}
    following = next((step for step in STEPS if step not in done), STEPS[-1])
    facts += [f"{_since(waiting)}: {waiting.problem}"]
    facts += [_step(step, done.get(step), failing=step is following) for step in STEPS]
    return "\n\n".join((as_list(facts), *_decide(order.change_id, _cost_of_skipping(following))))


def _since(waiting: Waiting) -> str:
    return f"**needs attention** since {utc(waiting.since)}"


def _step(step: Step, done: StepDone | None, *, failing: bool) -> str:
    if done is not None:
        return f"`{step}`: {'skipped' if done.skipped else 'done'} {utc(done.at)}"
    return f"`{step}`: " + ("**fails**" if failing else "still to do")


def outcome_mail_details(title: str, change_id: str, until: datetime, handed_over: bool | None) -> str:
    """Return the current details of an outcome mail; `handed_over` is None while it is tried."""
    what = {
        None: f"The mail server doesn't take it yet; it is tried until {utc(until)}. Mend the mail server "
        "(pending activities say what it answers); there is nothing to send to this run.",
        True: "Handed to the mail server.",
        False: "Given up: the customer wasn't told. The change itself is not touched by this.",
    }[handed_over]
    return "\n\n".join((as_list([f"outcome of change `{change_id}`", title]), what))


def _standing(recap: Recap, state: ChangeState, stage: Stage) -> Iterable[str]:
    if state.codes is None:
        if stage is Stage.NEEDS_ATTENTION:
            yield "waiting for: an operator; what else there is to do goes on meanwhile"
        elif stage in COMMITTED - CLOSED:
            yield "waiting for: the work on hosts (see pending activities, and relationships)"
        return
    yield _code(state.codes, recap.code_policy)
    deadline = utc(state.codes.ends_at(recap.code_policy))
    yield f"deadline: {deadline}, then it is abandoned and nothing changes"


def _code(codes: CodeState, policy: CodePolicy) -> str:
    if codes.handed_over_at is None:
        return f"waiting for: the mail server to take code number {codes.number} of {policy.most_mails}"
    expires_at = codes.expires_at(policy)
    assert expires_at is not None, "it was handed over"
    return (
        f"waiting for: the customer to type code number {codes.number} of {policy.most_mails}, mailed "
        f"{utc(codes.handed_over_at)}, valid until {utc(expires_at)}, "
        f"tries left {codes.tries_left(policy)}"
    )


def _recap(recap: Recap, state: ChangeState) -> Iterable[str]:
    """Say what the change does; of one that came to nothing, what it would have done."""
    in_vain = state.stage in CLOSED - COMMITTED
    yield f"change `{recap.change_id}`"
    yield f"before: {recap.before}" + _days(recap.days_before)
    yield f"{'asked for' if in_vain else 'after'}: {recap.after}" + _days(recap.days_after)
    if state.new_expires_at is not None:
        yield f"{'expiry would have been' if in_vain else 'new expiry'}: {utc(state.new_expires_at)}"
    for server in recap.gives_up:
        does = "would have destroyed" if in_vain else "destroys"
        yield f"{does} {server.name} (`{server.address}`), id `{server.server_id}`"
    if recap.creates:
        yield f"{'would have created' if in_vain else 'creates'} {recap.creates} server(s)"
    if recap.spends_pass:
        yield f"{'would have spent' if in_vain else 'spends'} an instant-change pass"


def _days(days: int | None) -> str:
    return "" if days is None else f", {days} day(s) left"


def _what_to_do(
    recap: Recap,
    reason: str | None,
    stage: Stage,
    troubles: Mapping[str, Waiting],
    torn: Mapping[str, Waiting],
) -> Iterable[str]:
    if stage in _OVER:
        if reason is not None and reason in _ABANDONED:
            yield _ABANDONED[reason]
        yield _OVER[stage]
    elif stage is Stage.AWAITING_CODE:
        yield "Nothing to do: it ends by itself. To give it up before, send the update `cancel`:"
        yield _paste(change_id=recap.change_id, actor=YOUR_NAME)
    else:
        yield "Confirmed and committed: it can't be undone, only finished."
        if troubles:
            yield from _decide(
                recap.change_id, "the servers stay as the host has them, and a person must see to them"
            )
        if stage is Stage.NEEDS_ATTENTION and not troubles and not torn:
            # This run took up what an earlier one left: the teardowns told that one.
            runs = "".join(f", see `{ids.teardown_workflow_id(it.server_id)}`" for it in recap.gives_up)
            yield f"What waits was begun by an earlier run: `changeover ops show` says what it is{runs}."
        if stage is not Stage.NEEDS_ATTENTION:
            yield _NOTHING_YET
        for server in torn:
            run = ids.teardown_workflow_id(server)
            yield f"Open the run `{run}`: it says which steps are left, and takes `retry` and `skip`."


def _decide(change_id: str, cost: str) -> Iterable[str]:
    yield "Mend the cause on the host, then send the update `retry`:"
    yield _paste(change_id=change_id, actor=YOUR_NAME)
    yield f"Or send `skip` to go on without it: {cost}."
    yield _paste(change_id=change_id, actor=YOUR_NAME, reason=YOUR_REASON, evidence=None)


def _cost_of_skipping(step: Step) -> str:
    if step in PROVES_DELETION or step is Step.RELEASE_ADDRESS:
        return (
            f"`{step}` is then taken for done. Put the proof that it is gone into `evidence`; without one "
            "the address is kept back until `changeover ops evidence` frees it"
        )
    return f"`{step}` is then taken for done, and the next step follows"


def _paste(**values: str | None) -> str:
    return f"```json\n{json.dumps(values, indent=1)}\n```"


def utc(moment: datetime) -> str:
    """Render a moment as operators read it."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def as_list(lines: Iterable[str]) -> str:
    """Render lines as a Markdown list."""
    return "\n".join(f"- {line}" for line in lines)
