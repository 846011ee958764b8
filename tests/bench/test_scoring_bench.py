"""The bench of what models cost: what it silences in the bare engine is there to be silenced."""

from engine import decide
from simulator.benches.scoring import _deaf


def test_the_bare_engine_is_deaf_and_hears_again():
    before = decide.observe
    with _deaf():
        assert decide.observe is not before
    assert decide.observe is before
