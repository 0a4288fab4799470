"""What our processes do when they are ready."""

import subprocess
import sys

_SETTLED = """
import gc
import worker
from starter.process import settle
settle()
imported, kept = gc.get_freeze_count(), [[] for _ in range(1_000)]
print(imported, len(gc.get_objects()))
"""


def test_a_settled_process_collects_garbage_among_what_came_later_only() -> None:
    ended = subprocess.run([sys.executable, "-c", _SETTLED], capture_output=True, text=True, check=True)
    imported, walked_over = map(int, ended.stdout.split())
    assert imported > 100_000
    assert 1_000 < walked_over < 5_000
