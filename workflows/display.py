"""What operators read of a run in the Temporal UI (Markdown)."""

from collections.abc import Mapping

from changeover.domain.lifecycle import Stage
from workflows.messages import ChangeState
from workflows.troubles import as_list

_WHAT_NOW = {
    Stage.AWAITING_CODE: "Waiting for the customer's code. Update `cancel` gives the change up; "
    "at the deadline it is abandoned by itself.",
    Stage.COMMITTED: "Confirmed and committed: it can't be undone. The work on hosts begins.",
    Stage.APPLYING: "Confirmed and committed: it can't be undone. Hosts are at work; nothing to do.",
    Stage.NEEDS_ATTENTION: "Work keeps failing and waits for an operator. Mend the cause, then send the "
    "update `retry`; or `skip` with a reason (and evidence, if what it deletes is proved gone).",
}


def change_details(change: ChangeState, troubles: Mapping[str, str]) -> str:
    """Return the current details of a change: where it stands, what is waited for, what can be done."""
    stage = Stage.NEEDS_ATTENTION if troubles else change.stage
    lines = [f"stage: **{stage}**" + (f", {change.reason}" if change.reason else ""), change.title]
    if change.new_expires_at is not None:
        lines.append(f"new expiry: {change.new_expires_at:%Y-%m-%d %H:%M:%S} UTC")
    if change.codes is not None and change.stage is Stage.AWAITING_CODE:
        codes = change.codes
        lines.append(f"deadline: {codes.ends_at(change.code_policy):%Y-%m-%d %H:%M:%S} UTC")
        mailed = "handed over" if codes.handed_over_at else "not handed to the mail server yet"
        lines.append(
            f"code number {codes.number}: {mailed}, tries left {codes.tries_left(change.code_policy)}"
        )
    lines += [f"gives up: {server.name} (`{server.server_id}`)" for server in change.gives_up]
    lines += [f"**needs attention**: {name}: {problem}" for name, problem in sorted(troubles.items())]
    return "\n\n".join(filter(None, (as_list(lines), _WHAT_NOW.get(stage))))


def teardown_details(server_id: str, change_id: str, troubles: Mapping[str, str]) -> str:
    """Return the current details of a teardown."""
    stage = Stage.NEEDS_ATTENTION if troubles else Stage.APPLYING
    lines = [f"server `{server_id}`", f"given up by change `{change_id}`"]
    lines += [f"**needs attention**: {problem}" for problem in troubles.values()]
    return f"{as_list(lines)}\n\n{_WHAT_NOW[stage]}"
