import math

import pytest

from features import catalog
from features.orders import is_repeat
from tests.made_events import DAY, NOW, Shopper, event


def paid(order="o1", at=NOW, name="Order Paid", **more):
    return event(name, at, order_id=order, **more)


def test_recency_frequency_money_and_gap():
    shopper = Shopper().see(
        paid("o1", NOW - 30 * DAY, total=100), paid("o2", NOW - 20 * DAY, total="50.50"),
        paid("o3", NOW - 6 * DAY, total=49.5),
    )  # fmt: skip
    assert shopper["orders.count"] == 3
    assert shopper["orders.total"] == 200.0
    assert shopper["orders.average"] == pytest.approx(66.6666667)
    assert shopper["orders.average_gap_days"] == 12.0
    assert shopper["orders.days_since_last"] == 6.0
    assert shopper["orders.days_since_first"] == 30.0
    assert shopper["orders.last_id"] == "o3"


def test_before_the_first_order():
    shopper = Shopper()
    assert shopper["orders.count"] == 0
    for name in ("average", "average_gap_days", "days_since_last", "days_since_first"):
        assert math.isnan(shopper[f"orders.{name}"])
    assert shopper["orders.last_id"] is None
    assert math.isnan(shopper.see(paid())["orders.average_gap_days"])


def test_completed_and_paid_are_one_fact_once_an_order():
    shopper = Shopper().see(
        paid("o", NOW, "Order Completed", total=10),
        paid("o", NOW + 5, total=10),
        paid("o", total=9),
    )
    assert shopper["orders.count"] == 1
    assert shopper["orders.total"] == 10
    assert shopper["windows.orders_24h"] == 1
    assert shopper["windows.spend_24h"] == 10
    assert [row["fact"] for row in shopper.rows] == ["paid"]
    assert is_repeat(shopper.customer.state("orders"), paid("o"))
    assert not is_repeat(shopper.customer.state("orders"), paid("o2"))


def test_the_last_thousand_ids_are_remembered():
    shopper = Shopper()
    for n in range(1_001):
        shopper.see(paid(f"o{n}", total=1))
    count = shopper["orders.count"]
    assert shopper.see(paid("o1"), paid("o1000"))["orders.count"] == count
    assert shopper.see(paid("o0"))["orders.count"] == count + 1
    assert len(shopper.customer.state("orders").ids) == 6_000


def test_a_late_order_is_the_first_not_the_last():
    shopper = Shopper().see(paid("new", NOW - DAY, total=3), paid("old", NOW - 11 * DAY, total=4))
    assert shopper["orders.last_id"] == "new"
    assert shopper["orders.days_since_last"] == 1
    assert shopper["orders.average_gap_days"] == 10


def test_an_order_without_an_id_is_one_of_its_own():
    shopper = Shopper().see(
        event("Order Paid", message_id="m"), event("Order Paid", message_id="n")
    )
    assert shopper["orders.count"] == 2
    assert shopper.rows[0]["order_id"] == "m"


@pytest.mark.parametrize(
    ("said", "amount"),
    [
        ({"total": 9, "revenue": 8}, 9), ({"revenue": 8}, 8), ({"value": 7}, 7), ({}, 0),
        ({"products": [{"product_id": "p", "price": "2.50", "quantity": 3}]}, 7.5),
        ({"product_id": "p", "price": 4}, 4),
    ],
)  # fmt: skip
def test_what_was_paid(said, amount):
    assert Shopper().see(paid(**said))["orders.total"] == amount


class TestRefunds:
    def test_a_part_counts_once_a_message_or_refund_id(self):
        first = event("Order Refunded", order_id="o", amount=3, message_id="r1")
        shopper = Shopper().see(paid("o", total=10), first, first)
        assert (shopper["orders.refunds"], shopper["orders.refunded"]) == (1, 3)
        named = {"order_id": "o", "amount": 2, "refund_id": "R"}
        shopper.see(event("Order Refunded", **named), event("Order Refunded", **named))
        assert (shopper["orders.refunds"], shopper["orders.refunded"]) == (2, 5)
        assert shopper["orders.net"] == 5
        assert shopper["orders.count"] == 1
        assert [row["amount"] for row in shopper.rows] == [10.0, -3.0, -2.0]

    def test_no_amount_is_all_of_the_last_order(self):
        shopper = Shopper().see(paid("o", total=10), event("Order Refunded", order_id="o"))
        assert shopper["orders.net"] == 0

    def test_lines_give_the_amount(self):
        products = [{"product_id": "p", "price": 2, "quantity": 2}, {"product_id": "q", "price": 1}]
        shopper = Shopper().see(
            event("Order Refunded", order_id="o", products=products, message_id="r")
        )
        assert shopper["orders.refunded"] == 5
        assert [(r["product_id"], r["amount"], r["message_id"]) for r in shopper.rows] == [
            ("p", -4.0, "r"), ("q", -1.0, "r"),
        ]  # fmt: skip


def test_a_cancel_counts_once():
    shopper = Shopper().see(*(event("Order Cancelled", order_id="o") for _ in range(2)))
    assert shopper["orders.cancelled"] == 1
    assert [row["fact"] for row in shopper.rows] == ["cancelled"]


def test_a_row_is_whole():
    shopper = Shopper().see(
        event(
            "Order Completed", order_id="o", total=27, discount=3, coupon="C5", merchant_id="shop",
            promised_ship_at="2026-10-01T00:00:00Z", channel="app", message_id="m",
            products=[
                {"product_id": "p", "category": "茶", "price": 10, "quantity": 2, "cost": 4},
                {"product_id": "q", "price": 10, "merchant_id": "other"},
            ],
        )
    )  # fmt: skip
    assert shopper.rows == [
        {
            "order_id": "o", "fact": "paid", "line": 0, "at": NOW, "message_id": "o",
            "product_id": "p", "category": "茶", "merchant_id": "shop", "channel": "app",
            "quantity": 2, "amount": 18.0, "discount": 2.0, "cost": 8, "coupon_id": "C5",
            "promised_at": 1_790_812_800_000,
        },
        {
            "order_id": "o", "fact": "paid", "line": 1, "at": NOW, "message_id": "o",
            "product_id": "q", "category": "", "merchant_id": "other", "channel": "app",
            "quantity": 1, "amount": 9.0, "discount": 1.0, "cost": 0.0, "coupon_id": "C5",
            "promised_at": 1_790_812_800_000,
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "properties", "fact"),
    [
        ("Order Placed", {}, "placed"), ("Order Delivered", {}, "delivered"),
        ("Shipment Status Updated", {"status": "shipped"}, "shipped"),
        ("Shipment Status Updated", {"status": "delivered"}, "delivered"),
        ("Shipment Status Updated", {"status": "packed"}, None),
        ("Shipment Status Updated", {}, None),
    ],
)  # fmt: skip
def test_other_facts_carry_no_money(name, properties, fact):
    shopper = Shopper().see(event(name, order_id="o", total=50, **properties))
    assert [(r["fact"], r["amount"], r["message_id"]) for r in shopper.rows] == (
        [(fact, 0.0, "o")] if fact else []
    )
    assert shopper["orders.count"] == 0


def test_uniting_two_buyers():
    mine = Shopper().see(paid("a", NOW - 10 * DAY, total=5), paid("b", NOW - 2 * DAY, total=7))
    theirs = Shopper().see(paid("c", NOW - 4 * DAY, total=11))
    catalog.merge(mine.customer, theirs.customer)
    assert mine["orders.count"] == 3
    assert mine["orders.total"] == 23
    assert mine["orders.last_id"] == "b"
    assert mine["orders.average_gap_days"] == 4
    assert mine.see(paid("c"), paid("a"))["orders.count"] == 3, "both lists of ids are kept"
