"""The steps that destroy a server, in their order, and what skipping one means for its address."""

from enum import StrEnum


class Step(StrEnum):
    """One step of a teardown. The order of definition is the order of work: the address goes last."""

    RECORD = "record"
    STOP = "stop"
    DELETE_BACKUPS = "delete_backups"
    DELETE_DATA = "delete_data"
    VERIFY_GONE = "verify_gone"
    RELEASE_ADDRESS = "release_address"


STEPS: tuple[Step, ...] = tuple(Step)

PROVES_DELETION = frozenset({Step.DELETE_BACKUPS, Step.DELETE_DATA, Step.VERIFY_GONE})
"""Skipping one of these without evidence keeps the address back until evidence is given."""
