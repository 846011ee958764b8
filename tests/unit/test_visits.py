import math

from features import catalog
from tests.made_events import DAY, HOUR, MINUTE, NOW, Shopper, event


def viewed(at):
    return event("Product Viewed", at, product_id="p")


def test_half_an_hour_of_silence_ends_a_visit():
    shopper = Shopper().see(viewed(NOW - 90 * MINUTE), viewed(NOW - 60 * MINUTE))
    assert shopper["visits.count"] == 1
    shopper.see(viewed(NOW - 29 * MINUTE), viewed(NOW))
    assert shopper["visits.count"] == 2
    assert shopper["visits.session_views"] == 2
    assert shopper["visits.session_minutes"] == 29
    assert shopper["visits.active"] is True
    assert shopper.at("visits.active", NOW + 31 * MINUTE) is False
    assert shopper.at("visits.session_views", NOW + 31 * MINUTE) == 0
    assert math.isnan(shopper.at("visits.session_minutes", NOW + 31 * MINUTE))


def test_only_views_are_views():
    shopper = Shopper().see(event("Product Added", NOW, product_id="p"), event("Own Event"))
    assert shopper["visits.count"] == 1
    assert shopper["visits.session_views"] == 0


def test_a_late_event_begins_no_visit_and_makes_no_negative_time():
    shopper = Shopper().see(viewed(NOW), viewed(NOW - 20 * MINUTE), viewed(NOW - 3 * DAY))
    assert shopper["visits.count"] == 1
    assert shopper["visits.session_views"] == 2
    assert shopper["visits.session_minutes"] == 20
    assert shopper.at("visits.days_since_last", NOW - HOUR) == 0


def test_what_the_shop_says_is_no_visit():
    shopper = Shopper().see(
        event("Order Refunded", order_id="o"), event("Message Delivered"),
        event("Shipment Status Updated", order_id="o"), event("Order Delivered", order_id="o"),
    )  # fmt: skip
    assert shopper["visits.count"] == 0
    assert shopper.see(event("Message Clicked"))["visits.count"] == 1


def test_uniting_the_visit_that_is_on():
    mine, theirs = (
        Shopper().see(viewed(NOW)),
        Shopper().see(viewed(NOW - DAY), viewed(NOW - 5 * MINUTE)),
    )
    catalog.merge(mine.customer, theirs.customer)
    assert mine["visits.count"] == 2
    assert mine["visits.session_views"] == 2
    assert mine["visits.session_minutes"] == 5
