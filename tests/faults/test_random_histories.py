"""Random histories agree with a simple model: the same few in each run, others by command."""

from tests.faults.random_histories.machine import open_world, play_random_histories


def test_random_histories_agree_with_the_model() -> None:
    with open_world() as opened:
        play_random_histories(*opened, examples=6, steps=25, dice=None)
