"""Points: lots, what is spent first, what time and orders take away, what is owed."""

import math

import pytest

from features import catalog
from features.points_ledger import GRACE_MS, LOTS_MAX, Entry, adjust, boost, give, lapse
from tests.made_events import DAY, NOW, Shopper, event


def rows(shopper):
    return [row for table, row in shopper.ledger if table == "points_ledger"]


def told(shopper):
    return [(row["fact"], row["points"]) for row in rows(shopper)]


def earn(many, at=NOW, **more):
    return event("Points Earned", at, points=many, **more)


def spend(many, at=NOW, **more):
    return event("Points Redeemed", at, points=many, **more)


def test_earned_and_spent_what_expires_first_first():
    shopper = Shopper().see(
        earn(100), earn(50, expires_at=NOW + 2 * DAY), earn(50, expires_at=NOW + DAY), spend(70)
    )
    assert shopper["points.balance"] == 130
    assert (shopper["points.expiring"], shopper["points.expires_at"]) == (30, NOW + 2 * DAY)
    assert shopper.at("points.balance", NOW + 3 * DAY) == 100
    assert told(shopper)[3:] == [("redeemed", -50), ("redeemed", -20)]
    assert len({row["entry_id"] for row in rows(shopper)}) == 5
    assert (shopper["points.earned"], shopper["points.redeemed"]) == (200, 70)


def test_nobody_spends_what_he_has_not():
    shopper = Shopper().see(earn(10, expires_at=NOW + DAY), spend(11), spend(10, NOW + DAY))
    assert told(shopper) == [("earned", 10), ("refused", 0), ("refused", 0)]
    assert shopper["points.balance"] == 10
    assert math.isnan(Shopper()["points.expires_at"])


def test_one_order_spends_once():
    shopper = Shopper().see(earn(100), spend(30, order_id="o"), spend(30, order_id="o"))
    assert shopper["points.balance"] == 70


def test_a_lot_is_written_off_when_its_time_has_come():
    shopper = Shopper().see(earn(100, expires_at=NOW + DAY), earn(5))
    points = shopper.customer.touch("points")
    lapse(points, NOW + DAY + GRACE_MS - 1, shopper._emit)
    assert len(rows(shopper)) == 2
    lapse(points, NOW + DAY + GRACE_MS, shopper._emit)
    assert told(shopper)[2:] == [("expired", -100)]
    assert rows(shopper)[2]["at"] == NOW + DAY


def test_the_shops_word_on_expiry_is_heard_where_nothing_else_was_said():
    shopper = Shopper().see(earn(100), earn(40, expires_at=NOW + DAY))
    shopper.see(event("Points Expired", points=120))
    assert shopper["points.balance"] == 40


def test_an_adjustment_may_go_below_zero_and_is_paid_back_first():
    shopper = Shopper().see(earn(100), earn(-130))
    assert shopper["points.balance"] == -30
    shopper.see(earn(20), spend(1))
    assert shopper["points.balance"] == -10
    shopper.see(earn(20), spend(1))
    assert shopper["points.balance"] == 9
    assert sum(points for _, points in told(shopper)) == 9


def test_what_is_earned_is_multiplied_while_a_decision_says_so():
    shopper = Shopper()
    points = shopper.customer.touch("points")
    boost(points, 2.0, NOW, NOW + DAY, "double")
    boost(points, 1.5, NOW, NOW + 9 * DAY, "half-more")
    shopper.see(earn(100), earn(10, NOW + DAY), earn(10, NOW + 9 * DAY))
    assert told(shopper) == [
        *(("earned", 100), ("bonus", 100), ("earned", 10), ("bonus", 5), ("earned", 10)),
    ]
    assert rows(shopper)[1]["rule"] == "double"


@pytest.mark.parametrize(
    "undone", [event("Order Cancelled", order_id="o"), event("Order Refunded", order_id="o")]
)
def test_an_order_undone_takes_back_what_it_earned_and_gives_back_what_it_cost(undone):
    shopper = Shopper().see(
        earn(500), spend(200, order_id="o"), earn(80, order_id="o"), earn(20, order_id="p"), undone
    )
    assert shopper["points.balance"] == 520
    assert told(shopper)[-2:] == [("returned", 200), ("reversed", -80)]


def test_a_part_refunded_takes_nothing_and_what_is_gone_is_gone():
    shopper = Shopper().see(earn(80, order_id="o"), event("Order Refunded", order_id="o", amount=1))
    assert shopper["points.balance"] == 80
    shopper.see(spend(70), event("Order Cancelled", order_id="o"))
    assert shopper["points.balance"] == 0


def test_fifty_lots_are_kept_and_none_is_lost():
    shopper = Shopper()
    points = shopper.customer.touch("points")
    for n in range(LOTS_MAX + 5):
        give(points, Entry(f"e{n:02}", NOW + n, "given"), 1, NOW + DAY + n, shopper._emit)
    assert len(points.lots) == LOTS_MAX
    assert shopper["points.balance"] == LOTS_MAX + 5
    assert shopper["points.expiring"] == 6


def test_no_points_is_no_entry():
    shopper = Shopper().see(earn(0), spend(0), event("Points Earned"), earn(0.4))
    assert told(shopper) == []


def test_what_one_owes_the_other_pays_when_they_turn_out_to_be_one():
    shopper, other = Shopper().see(earn(100, order_id="o")), Shopper()
    adjust(other.customer.touch("points"), Entry("a", NOW, "adjusted"), 30, other._emit)

    united = catalog.merge(shopper.customer, other.customer)
    assert catalog.value(united, "points.balance", NOW) == 70
    assert united.state("points").owed == 0
