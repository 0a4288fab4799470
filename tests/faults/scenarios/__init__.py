"""The scenarios, one file for each stage of a change."""

import importlib

STAGES = ("request", "mail", "wait", "commit", "teardown", "golden", "anytime", "api", "stores")


def load() -> None:
    """Import all of them: each registers itself."""
    for stage in STAGES:
        importlib.import_module(f"tests.faults.scenarios.{stage}")
