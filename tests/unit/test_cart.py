import math

import pytest

from features import catalog
from tests.made_events import DAY, HOUR, MINUTE, NOW, Shopper, event


def added(at=NOW, product="p", **more):
    return event("Product Added", at, product_id=product, **more)


def test_content_value_and_age():
    shopper = Shopper().see(
        added(NOW - 2 * HOUR, "p", price="12.50", quantity=2),
        added(NOW - HOUR, "q", price=5),
    )
    assert shopper["cart.value"] == 30.0
    assert shopper["cart.items"] == 3
    assert shopper["cart.lines"] == 2
    assert shopper["cart.age_hours"] == 2.0
    assert shopper["cart.idle_hours"] == 1.0
    assert shopper["cart.products"] == ["q", "p"]


def test_an_empty_cart():
    shopper = Shopper()
    assert shopper["cart.value"] == 0
    assert shopper["cart.id"] is None
    assert math.isnan(shopper["cart.age_hours"])


def test_a_price_nobody_said():
    shopper = Shopper().see(added(product="p"))
    assert math.isnan(shopper["cart.value"])
    assert shopper.see(added(product="q", price=4))["cart.value"] == 4


def test_removing_some_all_and_the_last():
    shopper = Shopper().see(
        added(NOW, "p", price=10, quantity=3),
        event("Product Removed", NOW + 1, product_id="p", quantity=1),
    )
    assert shopper["cart.items"] == 2
    shopper.see(event("Product Removed", NOW + 2, product_id="p"))
    assert shopper["cart.items"] == 0
    assert shopper["cart.id"] is None


def test_a_run_is_the_cart_id_else_the_first_message():
    assert Shopper().see(added(cart_id="c1", message_id="m1"))["cart.id"] == "c1"
    shopper = Shopper().see(added(message_id="m1"), added(NOW + 1, "q", message_id="m2"))
    assert shopper["cart.id"] == "m1"
    shopper.see(added(NOW + 2, "r", cart_id="c9"))
    assert shopper["cart.id"] == "m1", "an id is given once"


def test_another_cart_id_is_another_cart():
    shopper = Shopper().see(added(cart_id="c1"), added(NOW + 1, "q", cart_id="c2"))
    assert shopper["cart.id"] == "c2"
    assert shopper["cart.products"] == ["q"]
    shopper.see(added(NOW - 5, "late", cart_id="c1"))
    assert shopper["cart.products"] == ["q"]


@pytest.mark.parametrize("name", ["Order Paid", "Order Completed", "Cart Emptied"])
def test_emptied(name):
    shopper = Shopper().see(added(NOW - 5, price=3), event(name, NOW, order_id="o"))
    assert shopper["cart.items"] == 0
    shopper.see(added(NOW - 3, "late"))
    assert shopper["cart.items"] == 0, "it was in the cart that is gone"
    shopper.see(added(NOW + 1, "new", message_id="second"))
    assert shopper["cart.id"] == "second"


def test_another_carts_payment_leaves_this_one():
    shopper = Shopper().see(
        added(cart_id="c2", price=3), event("Order Paid", NOW + 1, order_id="o", cart_id="c1")
    )
    assert shopper["cart.items"] == 1


def test_the_same_order_told_again_does_not_empty_the_next_cart():
    shopper = Shopper().see(
        added(NOW), event("Order Completed", NOW + 1, order_id="o"),
        added(NOW + 2, "next"), event("Order Paid", NOW + 3, order_id="o"),
    )  # fmt: skip
    assert shopper["cart.products"] == ["next"]


def test_a_payment_older_than_the_cart_does_not_empty_it():
    shopper = Shopper().see(added(NOW), event("Order Paid", NOW - HOUR, order_id="o"))
    assert shopper["cart.items"] == 1


def test_thirty_days_idle_end_it():
    shopper = Shopper().see(added(NOW - 31 * DAY, price=3, message_id="old"))
    assert shopper["cart.items"] == 0
    assert shopper["cart.id"] is None
    assert shopper.at("cart.items", NOW - 2 * DAY) == 1
    shopper.see(added(NOW, "q", message_id="new"))
    assert shopper["cart.id"] == "new"
    assert shopper["cart.lines"] == 1


def test_a_late_add_makes_the_cart_older_not_newer():
    shopper = Shopper().see(added(NOW - HOUR), added(NOW - 3 * HOUR, "q"))
    assert shopper["cart.age_hours"] == 3
    assert shopper["cart.idle_hours"] == 1


def test_a_late_removal_of_what_was_added_again_does_nothing():
    shopper = Shopper().see(added(NOW), event("Product Removed", NOW - 1, product_id="p"))
    assert shopper["cart.items"] == 1


def test_a_cart_shown_whole_is_what_is_in_it():
    shopper = Shopper().see(
        added(NOW - 5, "gone", price=1, message_id="m"),
        event("Cart Viewed", NOW, products=[{"product_id": "x", "price": 7, "quantity": 2}]),
    )
    assert shopper["cart.value"] == 14
    assert shopper["cart.id"] == "m"
    assert shopper.see(event("Cart Viewed", NOW + 1))["cart.value"] == 14


def test_fifty_lines_at_most():
    shopper = Shopper().see(*(added(NOW + n, f"p{n}") for n in range(60)))
    assert shopper["cart.lines"] == 50
    assert "p9" not in shopper["cart.products"]
    assert "p10" in shopper["cart.products"]


class TestMerge:
    def test_the_visitors_cart_keeps_its_id_when_the_user_has_none(self):
        known, visitor = Shopper(), Shopper().see(added(message_id="first", price=2))
        catalog.merge(known.customer, visitor.customer)
        assert known["cart.id"] == "first"

    def test_the_users_run_survives_and_lines_are_summed(self):
        known = Shopper().see(added(NOW - 5, message_id="mine", price=2))
        visitor = Shopper().see(added(NOW - HOUR, message_id="theirs", price=3), added(NOW, "q"))
        catalog.merge(known.customer, visitor.customer)
        assert known["cart.id"] == "mine"
        assert known["cart.items"] == 3
        assert known["cart.value"] == 4, "the price when it was added last"
        assert known["cart.age_hours"] == 1

    def test_who_paid_later_has_no_cart(self):
        known = Shopper().see(event("Order Paid", NOW, order_id="o"))
        visitor = Shopper().see(added(NOW - MINUTE), added(NOW - 2 * MINUTE, "q"))
        catalog.merge(known.customer, visitor.customer)
        assert known["cart.items"] == 0
        visitor.see(added(NOW + 1, "after"))
        catalog.merge(known.customer, visitor.customer)
        assert known["cart.products"] == ["after"]
