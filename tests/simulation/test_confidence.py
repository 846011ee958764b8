"""The confidence sequence keeps its promise when a rule is watched; the usual interval does not."""

import pytest

from simulator.confidence import Arm, looks, sequence

SEEDS = 150


@pytest.mark.parametrize(
    ("share", "buys", "money"),
    [(0.1, 0.05, False), (0.5, 0.2, False), (0.1, 0.1, True)],
    ids=["a tenth held out", "half held out", "money, heavy-tailed"],
)
def test_a_rule_without_effect_that_is_watched_is_seldom_taken_for_one_with(share, buys, money):
    found = [looks(seed, share=share, buys=buys, money=money) for seed in range(SEEDS)]
    sequential, usual = (sum(kind) / SEEDS for kind in zip(*found, strict=True))
    assert sequential <= 0.05
    assert usual > 0.2


def test_a_real_lift_is_seen():
    buyers = [1.0] * 900 + [0.0] * 8_100, [1.0] * 50 + [0.0] * 950
    treated, held = (Arm.of(values) for values in buyers)
    found = sequence(treated, held, (treated.total, held.total))
    assert found is not None
    assert 0 < found[0] < 0.05 < found[1]
    few = Arm.of([1.0] * 9 + [0.0] * 91)
    assert sequence(treated, few, (treated.total, few.total)) is None
