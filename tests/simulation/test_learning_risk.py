"""Abusers hidden among a made-up shop's people, and what risk says of each."""

import numpy as np
import pytest

from simulator.abusers import abusers, dressed
from simulator.learning_risk import HELD_FROM, START, auc, lived


@pytest.fixture(scope="module")
def judged():
    return lived(7, customers=260, people=6, days=18)


def test_abusers_are_told_from_honest_people_better_than_by_what_they_gave_back(judged):
    bad = np.array([bool(kind) for kind in judged.kinds])
    assert 20 < bad.sum() < len(bad) / 2
    ours = auc(judged.said["risk.abuse"], bad)
    assert ours > 0.75
    assert ours > auc(judged.said["orders given back"], bad) + 0.05


def test_who_is_held_is_an_abuser_and_each_kind_is_found(judged):
    kinds = np.array(judged.kinds)
    held = set(kinds[judged.said["risk.abuse"] >= HELD_FROM])
    assert held == {"farmer", "brusher", "ring"}


def test_a_seed_gives_the_same_abusers_each_of_them_with_orders_in_time():
    once, again = (list(abusers(3, 4, START, 20)) for _ in range(2))
    assert once == again
    for one in once:
        ids = [item["messageId"] for item in one.items]
        assert len(ids) == len(set(ids))
        assert any(item.get("event") == "Order Paid" for item in one.items)


def test_an_honest_order_has_what_honest_orders_have_and_the_rest_stays_as_it_was():
    order = {"type": "track", "event": "Order Paid", "userId": "u1", "messageId": "m",
             "properties": {"order_id": "o1", "total": 5}}  # fmt: skip
    told = dressed(order, 1)[0]["properties"]
    assert told.keys() >= {"order_id", "total", "payment_id", "address_id", "merchant_id"}
    assert order["properties"] == {"order_id": "o1", "total": 5}
    view = {"type": "track", "event": "Product Viewed", "userId": "u1"}
    assert dressed(view, 1) == [view]


def test_auc_counts_a_tie_as_half():
    scores = np.array([0.0, 0.0, 1.0, 0.5])
    assert auc(scores, np.array([False, True, True, False])) == pytest.approx(0.625)
