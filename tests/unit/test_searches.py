import math

from features import catalog
from tests.made_events import DAY, NOW, Shopper, event


def searched(query, at=NOW):
    return event("Products Searched", at, query=query)


def test_keywords_the_latest_first():
    shopper = Shopper().see(
        searched("Red  Tea ", NOW - 3), searched("伞", NOW - 2), searched("red tea", NOW)
    )
    assert shopper["searches.recent"] == ["red tea", "伞"]
    assert shopper["searches.last"] == "red tea"
    assert shopper["searches.count"] == 3


def test_nothing_searched():
    shopper = Shopper().see(searched("  "), event("Products Searched"))
    assert shopper["searches.count"] == 0
    assert shopper["searches.top"] is None
    assert shopper["searches.recent"] is None
    assert math.isnan(shopper["searches.days_since_last"])


def test_the_top_one_decays():
    shopper = Shopper().see(*(searched("old", NOW - 21 * DAY) for _ in range(5)), searched("new"))
    assert shopper["searches.top"] == "new"
    assert shopper.see(*(searched("old", NOW - DAY) for _ in range(2)))["searches.top"] == "old"


def test_ten_are_kept():
    shopper = Shopper().see(*(searched(f"q{n}", NOW + n) for n in range(12)))
    assert shopper["searches.recent"] == [f"q{n}" for n in range(11, 1, -1)]
    assert shopper["searches.count"] == 12


def test_uniting_sums_the_counts():
    mine = Shopper().see(searched("tea"), searched("tea"))
    theirs = Shopper().see(searched("pot"), searched("tea", NOW - DAY), searched("pot"))
    catalog.merge(mine.customer, theirs.customer)
    assert mine["searches.count"] == 5
    assert mine["searches.top"] == "tea"
