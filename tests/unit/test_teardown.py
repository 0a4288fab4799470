"""The steps that destroy a server."""

from changeover.domain.teardown import PROVES_DELETION, STEPS, Step


def test_the_address_is_released_last_and_all_is_recorded_first() -> None:
    assert list(STEPS) == [
        "record",
        "stop",
        "delete_backups",
        "delete_data",
        "verify_gone",
        "release_address",
    ]


def test_the_steps_that_prove_a_deletion_come_between_the_stop_and_the_release() -> None:
    assert frozenset(STEPS[2:5]) == PROVES_DELETION
    assert Step.STOP not in PROVES_DELETION
