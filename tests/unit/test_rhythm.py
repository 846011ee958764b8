import math

import pytest

from features import catalog
from features.customer import Customer
from tests.made_events import DAY, NOW, Shopper, event


def order(days_ago, total=100.0, lines=1, quantity=2):
    return event(
        "Order Paid",
        NOW - days_ago * DAY,
        order_id=f"o{days_ago}",
        total=total,
        products=[{"product_id": f"p{i}", "quantity": quantity} for i in range(lines)],
    )


def test_nothing_is_known_before_the_first_order():
    shopper = Shopper().see(event("Product Viewed", product_id="p"))
    assert math.isnan(shopper["rhythm.usual_gap_days"])
    assert math.isnan(shopper["rhythm.overdue"])
    assert shopper["rhythm.order_days"] == 0


def test_the_usual_gap_begins_at_ninety_days_and_becomes_his_own():
    assert Shopper().see(order(30))["rhythm.usual_gap_days"] == pytest.approx(90)
    weekly = Shopper().see(*(order(day) for day in range(140, 0, -7)))
    assert weekly["rhythm.order_days"] == 20
    assert 7 < weekly["rhythm.usual_gap_days"] < 9
    assert weekly["rhythm.overdue"] < 1
    assert weekly.at("rhythm.overdue", NOW + 60 * DAY) > 6


def test_two_orders_of_a_day_are_one_day_and_one_order_told_twice_is_one():
    shopper = Shopper().see(order(10), order(10), event("Order Paid", NOW - 10 * DAY, order_id="x"))
    assert shopper["rhythm.order_days"] == 1
    assert shopper["rhythm.recent_orders"] == pytest.approx(2 * 2 ** (-10 / 30))


def test_weights_fall_by_half():
    shopper = Shopper().see(order(0, total=math.e - 1))
    assert shopper["rhythm.strength"] == pytest.approx(1, abs=0.01)
    assert shopper.at("rhythm.strength", NOW + 180 * DAY) == pytest.approx(0.5, abs=0.01)
    assert shopper.at("rhythm.recent_orders", NOW + 30 * DAY) == pytest.approx(0.5)


def test_what_his_orders_are_like():
    shopper = Shopper().see(order(3, lines=3, quantity=4), order(2, total=250, lines=3, quantity=4))
    assert shopper["rhythm.lines_an_order"] == pytest.approx(3)
    assert shopper["rhythm.pieces_a_line"] == pytest.approx(4)
    assert shopper["rhythm.largest"] == 250


def test_a_late_order_weighs_what_it_would_have_weighed():
    in_time = Shopper().see(order(40), order(20), order(5))
    late = Shopper().see(order(40), order(5), order(20))
    for name in ("order_days", "recent_orders", "strength", "lines_an_order", "largest"):
        assert late[f"rhythm.{name}"] == pytest.approx(in_time[f"rhythm.{name}"]), name


def test_merged_it_is_nearly_as_if_it_had_been_one():
    one, other = Shopper().see(order(40)), Shopper().see(order(5, total=300))
    both = Shopper().see(order(40), order(5, total=300))
    united = catalog.merge(one.customer, other.customer)
    for name in ("order_days", "usual_gap_days", "overdue", "recent_orders", "strength", "largest"):
        want = both[f"rhythm.{name}"]
        assert catalog.value(united, f"rhythm.{name}", NOW) == pytest.approx(want), name


# as stored at version 1: blobs of that day must be read for ever
STORED = bytes.fromhex(
    "81a672687974686d920199cf000001a0c4506c0002cb400acccccccccccdcb3ff8000000000000cb3ff100"
    "0000000000cb4022000000000000cd2710cb3ff62d0e5604189302"
)


def test_a_stored_blob_is_read():
    customer = Customer.decode("u:1", STORED, catalog.REGISTRY)
    assert catalog.value(customer, "rhythm.order_days", NOW) == 2
    assert catalog.value(customer, "rhythm.largest", NOW) == 100
    assert catalog.value(customer, "rhythm.usual_gap_days", NOW) == pytest.approx(49.93, abs=0.01)
    assert customer.encode() == STORED
