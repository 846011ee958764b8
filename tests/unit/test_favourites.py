import math

from features import catalog
from tests.made_events import DAY, NOW, Shopper, event


def liked(product, at=NOW):
    return event("Product Added to Wishlist", at, product_id=product)


def dropped(product, at=NOW):
    return event("Product Removed from Wishlist", at, product_id=product)


def test_put_on_and_taken_off():
    shopper = Shopper().see(liked("p", NOW - 3 * DAY), liked("q", NOW - 2 * DAY))
    assert shopper["favourites.products"] == ["q", "p"]
    assert shopper["favourites.days_since_last"] == 2
    shopper.see(dropped("q"), dropped("never"))
    assert shopper["favourites.count"] == 1


def test_an_empty_list():
    shopper = Shopper().see(event("Product Added to Wishlist"))
    assert shopper["favourites.count"] == 0
    assert shopper["favourites.products"] is None
    assert math.isnan(shopper["favourites.days_since_last"])


def test_a_late_removal_of_what_was_put_on_again_does_nothing():
    assert Shopper().see(liked("p"), dropped("p", NOW - 1))["favourites.count"] == 1


def test_the_last_thirty_of_both():
    mine = Shopper().see(*(liked(f"m{n}", NOW - n) for n in range(35)))
    assert mine["favourites.count"] == 30
    catalog.merge(mine.customer, Shopper().see(liked("new", NOW + 1)).customer)
    assert mine["favourites.count"] == 30
    assert mine["favourites.products"][0] == "new"
