"""Keys are replaced by restarts with other settings, while changes are open: no code and no call is lost."""

import secrets
from collections.abc import AsyncIterator

import pytest

from tests.e2e.rotating import WORKERS, Rotation, rotating
from tests.support.postgres import Postgres

pytestmark = pytest.mark.timeout(600)  # on a busy machine; alone it is a matter of a minute

CODE_KEYS, PROOF_KEY, PROOF_KEYS_OLD = (
    "CHANGEOVER_CODE_KEYS",
    "CHANGEOVER_PROOF_KEY",
    "CHANGEOVER_PROOF_KEYS_OLD",
)


@pytest.fixture(scope="module")
async def rotation(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> AsyncIterator[Rotation]:
    async with rotating(tmp_path_factory.mktemp("rotation"), postgres, customers=12) as running:
        yield running


async def test_a_code_mailed_under_the_old_code_key_confirms_until_the_key_is_taken_out(
    rotation: Rotation,
) -> None:
    before, to_the_end = await rotation.new_change(), await rotation.new_change()

    # First the new key beside the old one everywhere, then the new current id.
    rotation.write(CODE_KEYS, rotation.secret(CODE_KEYS) | {"second": secrets.token_hex(32)})
    await rotation.restart(*WORKERS)
    between = await rotation.new_change()
    rotation.set(CHANGEOVER_CODE_KEY_ID="second")
    await rotation.restart("worker-1")
    half_way = await rotation.new_change()
    await rotation.restart("worker-2")
    after = await rotation.new_change()
    for change in (before, between, half_way, after):
        await change.confirm()
    assert await rotation.doctor_on_keys() == ("code keys: new changes use second, open changes need first")

    # Nobody needs the old key any more: it is taken out.
    await to_the_end.confirm()
    assert await rotation.doctor_on_keys() == "code keys: new changes use second, open changes need none"
    rotation.write(CODE_KEYS, {"second": rotation.secret(CODE_KEYS)["second"]})
    await rotation.restart(*WORKERS)
    await (await rotation.new_change()).confirm()


async def test_a_code_typed_at_any_moment_of_a_new_proof_key_counts(rotation: Rotation) -> None:
    changes = [await rotation.new_change() for _ in range(4)]
    in_flight, accepted, half_way, afterwards = changes
    assert await afterwards.wrong("B") == 4

    # All workers first, then the API.
    old = (rotation.system.secrets / PROOF_KEY).read_text()
    rotation.write(PROOF_KEY, secrets.token_hex(32))
    rotation.write(PROOF_KEYS_OLD, [old])
    await rotation.restart("worker-1")
    await half_way.confirm()
    await rotation.restart("worker-2")
    await in_flight.confirm()  # the API's proofs are still of the old key
    await accepted.confirm()
    await rotation.restart("api")
    assert (await accepted.type(accepted.code)).status_code == 200, "the accepted code, sent again"
    assert await afterwards.wrong("B") == 3, "typed again under another key: a try of its own"
    assert await afterwards.wrong("B") == 3

    # A confirmation window later the old key is taken out; what is open then was mailed since.
    rotation.write(PROOF_KEYS_OLD, [])
    await rotation.restart(*WORKERS, "api")
    await afterwards.confirm()
    assert (await accepted.type(accepted.code)).json()["type"].endswith("/change-closed")
    await (await rotation.new_change()).confirm()


async def test_an_api_key_is_replaced_without_a_call_refused(rotation: Rotation) -> None:
    change = await rotation.new_change()
    old = rotation.api_key
    made = await rotation.command("setup", "keys", "create", "the panel, from June")
    assert await change.wrong("B") == 4, "the old one is good"
    rotation.api_key = made["key"]
    assert await change.wrong("C") == 3, "and so is the new one"
    listed = await rotation.command("setup", "keys", "list")
    (old_id,) = [it["id"] for it in listed["keys"] if it["name"] == "the panel, from May"]
    await rotation.command("setup", "keys", "revoke", old_id)
    await change.confirm()
    rotation.api_key = old
    assert (await change.type(change.code)).status_code == 401, "a revoked key is refused at the next call"
    rotation.api_key = made["key"]
