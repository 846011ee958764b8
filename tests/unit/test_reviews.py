"""What a customer said: his reviews and his answers to surveys."""

import math

import pytest

from features import catalog, reviews, surveys
from tests.made_events import DAY, NOW, Shopper, event


def answered(kind, score, at=NOW):
    return event("Survey Answered", at, kind=kind, score=score)


def folded(*events):
    found = reviews.Reviews()
    for one in events:
        reviews.fold(found, one, lambda table, row: None)
    return found


@pytest.mark.parametrize(
    ("score", "standing"),
    [
        (10, "promoter"),
        (9, "promoter"),
        (8, "passive"),
        (7, "passive"),
        (6, "detractor"),
        (0, "detractor"),
    ],
)
def test_what_an_answer_makes_of_him(score, standing):
    shopper = Shopper().see(answered("NPS", score))
    assert (shopper["surveys.nps"], shopper["surveys.nps_standing"]) == (score, standing)
    assert math.isnan(shopper["surveys.csat"])


def test_the_latest_answer_by_its_own_time_and_none_off_the_scale():
    shopper = Shopper().see(answered("csat", 4, NOW - DAY), answered("csat", 1, NOW - 3 * DAY))
    shopper.see(answered("csat", 6), answered("nps", 11), answered("mood", 3))
    assert shopper["surveys.csat"] == 4
    assert shopper["surveys.csat_average"] == 2.5
    assert shopper["surveys.nps_standing"] is None


def test_stars_say_what_is_a_complaint_and_the_text_only_without_them():
    said = {"text": "x", "sentiment": 0.1}
    shopper = Shopper().see(
        event("Product Reviewed", NOW - 2 * DAY, rating=5, **said),
        event("Product Reviewed", NOW - DAY, rating=2, text="x", sentiment=0.9),
        event("Product Reviewed", NOW, **said),
        event("Feedback Received", NOW, channel="phone", **said),
    )
    assert shopper["reviews.count"] == 3
    assert shopper["reviews.complaints"] == 2
    assert shopper["reviews.average_rating"] == 3.5
    assert math.isnan(shopper["reviews.last_rating"])
    assert shopper["reviews.last_sentiment"] == 0.1


def test_the_merchants_complained_of_are_the_last_hundred_of_either_side():
    def about(number):
        return event("Product Reviewed", NOW + number, rating=1, merchant_id=f"m{number}")

    one = folded(*(about(number) for number in range(120)))
    other = folded(*(about(number) for number in range(100, 150)))
    assert list(one.merchants) == [f"m{number}" for number in range(20, 120)]
    united = reviews.merge(one, other).merchants
    assert set(united) == {f"m{number}" for number in range(50, 150)}


def test_both_are_facets_of_the_catalog():
    assert catalog.FACETS["reviews"] is reviews.FACET
    assert catalog.FACETS["surveys"] is surveys.FACET
