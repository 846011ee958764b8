import math

import pytest

from features import catalog
from tests.made_events import DAY, NOW, Shopper, event


def viewed(category="", at=NOW, brand="", name="Product Viewed"):
    return event(name, at, product_id="p", category=category, brand=brand)


def test_the_strongest_category_and_brand():
    shopper = Shopper().see(
        viewed("tea", brand="A"), viewed("tea", brand="B"), viewed("pots", brand="B")
    )
    assert shopper["affinity.category"] == "tea"
    assert shopper["affinity.categories"] == ["tea", "pots"]
    assert shopper["affinity.category_share"] == pytest.approx(2 / 3)
    assert shopper["affinity.brand"] == "B"


def test_nothing_known():
    shopper = Shopper().see(viewed())
    assert shopper["affinity.category"] is None
    assert shopper["affinity.brands"] is None
    assert math.isnan(shopper["affinity.brand_share"])


def test_doing_weighs_more_than_looking():
    shopper = Shopper().see(viewed("a"), viewed("a"), viewed("b", name="Product Added"))
    assert shopper["affinity.category"] == "b"
    line = {"product_id": "q", "category": "c"}
    shopper.see(event("Order Paid", order_id="o", products=[line, line]))
    assert shopper["affinity.categories"] == ["c", "b", "a"]
    assert shopper["affinity.category_share"] == pytest.approx(10 / 15)


def test_half_is_left_after_two_weeks():
    shopper = Shopper().see(viewed("old", NOW - 14 * DAY), viewed("new", NOW))
    assert shopper["affinity.category_share"] == pytest.approx(2 / 3)


def test_a_late_event_weighs_what_it_would_have_in_time():
    in_time = Shopper().see(viewed("a", NOW - 30 * DAY), viewed("b", NOW - 9 * DAY), viewed("a"))
    late = Shopper().see(viewed("a"), viewed("b", NOW - 9 * DAY), viewed("a", NOW - 30 * DAY))
    assert in_time["affinity.category_share"] == pytest.approx(late["affinity.category_share"])


def test_years_between_events():
    shopper = Shopper().see(
        viewed("old", NOW - 4000 * DAY), viewed("new"), viewed("older", NOW - 9000 * DAY)
    )
    assert shopper["affinity.categories"] == ["new"]
    assert shopper["affinity.category_share"] == 1


def test_a_newcomer_takes_the_place_of_the_lightest_and_can_grow():
    shopper = Shopper()
    for n in range(10):
        shopper.see(*(viewed(f"c{n}") for _ in range(n + 2)))
    shopper.see(viewed("new"), viewed("new"), viewed("new"), viewed("new"))
    assert len(shopper["affinity.categories"]) == 10
    assert "c0" not in shopper["affinity.categories"]
    assert "new" in shopper["affinity.categories"]


def test_uniting_reads_alike_from_either_side():
    one = [viewed("a", NOW - 90 * DAY), viewed("b", NOW - 80 * DAY)]
    other = [viewed("a"), viewed("c")]
    mine, theirs = Shopper().see(*one), Shopper().see(*other)
    catalog.merge(mine.customer, theirs.customer)
    swapped = Shopper().see(*other)
    catalog.merge(swapped.customer, Shopper().see(*one).customer)
    assert mine["affinity.categories"] == swapped["affinity.categories"] == ["a", "c", "b"]
    assert mine["affinity.category_share"] == pytest.approx(swapped["affinity.category_share"])
