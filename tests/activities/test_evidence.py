"""Evidence of a deletion that was skipped frees the address that the skip kept back, and no other."""

from datetime import datetime

import pytest

from changeover.hosts import HostUnavailable
from changeover.storage import tables
from tests.activities.hosts import TroubledHost
from tests.activities.house import QUARANTINE, House, run
from tests.activities.troubled import REASON, condemned, raise_it, settle_it
from tests.storage.rows import DAY, T0, rows_of, set_values, snapshot
from workflows.messages import EvidenceOrder, EvidenceOutcome, EvidenceResult, HostWork, RecordEvidence, Skip

AT = T0 + 3 * DAY
TICKET = "the machine was shredded, ticket 4711"


async def skipped(house: House) -> tuple[str, str]:
    """End a change whose deletion of data was skipped without evidence; return it and its server."""
    _, change_id, server_id = await condemned(house)
    host = TroubledHost(house.local)
    host.failing["delete_data", "any"] = HostUnavailable("away", "The host is away.")
    for _ in range(2):  # the data is still there, so its verification is skipped as well
        with pytest.raises(Exception, match=r"away|still has"):
            await house.tear_down(change_id, server_id, host)
        await raise_it(house, change_id, server_id)
        await settle_it(house, change_id, server_id, skip=Skip(reason=REASON, actor="olga"))
    assert await house.tear_down(change_id, server_id, host) == "destroyed"
    await house.complete(change_id)
    return change_id, server_id


async def prove(
    house: House, server_id: str, evidence: str = TICKET, *, actor: str = "olga", at: datetime = AT
) -> EvidenceResult:
    order = EvidenceOrder(server_id=server_id, evidence=evidence, actor=actor)
    return await run(house.evidence.record_evidence, RecordEvidence(order=order, at=at), at=at)


async def gone(house: House, server_id: str) -> None:
    await house.local.stop(server_id)
    await house.local.delete_data(server_id)


async def test_evidence_puts_the_address_into_quarantine_and_says_who_gave_it(house: House) -> None:
    change_id, server_id = await skipped(house)
    await gone(house, server_id)
    task = await house.task(change_id, HostWork.TEARDOWN, server_id)
    assert (await house.address_row(task["address"]))["held"] is True
    result = await prove(house, server_id)
    assert result.outcome is EvidenceOutcome.RECORDED
    assert (result.address, result.free_from) == (task["address"], AT + QUARANTINE)
    address = await house.address_row(task["address"])
    assert (address["server_id"], address["held"], address["free_from"]) == (None, False, AT + QUARANTINE)
    assert (await house.task(change_id, HostWork.TEARDOWN, server_id))["address_held"] is False
    entry = (await house.trail(change_id))[-1]
    assert (entry["event"], entry["actor"], entry["stage"]) == ("evidence_recorded", "olga", "completed")
    assert (entry["data"]["evidence"], entry["data"]["host"]) == (TICKET, "gone")


async def test_repeated_evidence_changes_nothing(house: House) -> None:
    _, server_id = await skipped(house)
    await gone(house, server_id)
    await prove(house, server_id)
    before = await snapshot(house.database)
    again = await prove(house, server_id, at=AT + DAY)
    assert again.outcome is EvidenceOutcome.RECORDED_BEFORE
    assert await snapshot(house.database) == before


async def test_evidence_against_what_the_host_shows_is_refused(house: House) -> None:
    _, server_id = await skipped(house)
    before = await snapshot(house.database)
    assert (await prove(house, server_id)).outcome is EvidenceOutcome.REMAINS
    assert await snapshot(house.database) == before


async def test_a_host_that_gives_no_answer_does_not_outweigh_the_evidence(house: House) -> None:
    change_id, server_id = await skipped(house)
    host = TroubledHost(house.local)
    host.failing["find", "any"] = HostUnavailable("away", "The host is away.")
    house.evidence = house.evidence_on(host)
    assert (await prove(house, server_id)).outcome is EvidenceOutcome.RECORDED
    assert (await house.trail(change_id))[-1]["data"]["host"] == "no answer"


async def test_an_address_that_belongs_to_another_is_never_touched(house: House) -> None:
    change_id, server_id = await skipped(house)
    await gone(house, server_id)
    other = await house.rent(name="bob", servers=1)
    address = (await house.task(change_id, HostWork.TEARDOWN, server_id))["address"]
    given = (await house.address_row(other.addresses[0]))["address"]
    await set_values(house.database, tables.addresses, given, server_id=None, free_from=T0)
    await set_values(house.database, tables.addresses, address, server_id=other.servers[0], held=False)
    before = await snapshot(house.database)
    assert (await prove(house, server_id)).outcome is EvidenceOutcome.NOTHING_HELD
    assert await snapshot(house.database) == before


async def test_evidence_for_an_address_that_was_released_is_refused(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    await house.tear_down(change_id, server_id)
    assert (await prove(house, server_id)).outcome is EvidenceOutcome.NOTHING_HELD


async def test_evidence_before_the_teardown_is_over_is_refused(house: House) -> None:
    _, change_id, server_id = await condemned(house)
    assert (await prove(house, server_id)).outcome is EvidenceOutcome.NOT_OVER
    assert "evidence_recorded" not in await house.events(change_id)


async def test_evidence_for_a_server_that_nobody_gave_up_is_refused(house: House) -> None:
    rented, _, _ = await condemned(house)
    assert (await prove(house, rented.servers[0])).outcome is EvidenceOutcome.UNKNOWN
    assert (await prove(house, "no server")).outcome is EvidenceOutcome.UNKNOWN


@pytest.mark.parametrize("nothing", ["", " \n\t", "\0\x07"])
async def test_evidence_without_a_word_is_refused(house: House, nothing: str) -> None:
    _, server_id = await skipped(house)
    await gone(house, server_id)
    assert (await prove(house, server_id, nothing)).outcome is EvidenceOutcome.MISSING


async def test_texts_that_no_database_keeps_are_cut_to_what_it_keeps(house: House) -> None:
    change_id, server_id = await skipped(house)
    await gone(house, server_id)
    result = await prove(house, server_id, "x\0" + "y" * 5000, actor="o" * 500)
    assert result.outcome is EvidenceOutcome.RECORDED
    (entry,) = [
        it for it in await rows_of(house.database, tables.trail) if it["event"] == "evidence_recorded"
    ]
    assert (len(entry["data"]["evidence"]), len(entry["actor"])) == (2000, 60)
    assert entry["change_id"] == change_id


@pytest.mark.parametrize("signed", ["", "customer", " Reconciler ", "system\0"])
async def test_what_is_kept_of_an_order_s_words_names_no_address_and_no_one_else(
    house: House, signed: str
) -> None:
    _, server_id = await skipped(house)
    await gone(house, server_id)
    await prove(house, server_id, "asked zoe@example.com, it burnt", actor=signed)
    (entry,) = [
        it for it in await rows_of(house.database, tables.trail) if it["event"] == "evidence_recorded"
    ]
    assert entry["actor"] == "operator"
    assert entry["data"]["evidence"] == "asked *** it burnt"
