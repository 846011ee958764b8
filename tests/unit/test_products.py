from features import catalog
from tests.made_events import DAY, HOUR, NOW, Shopper, event


def viewed(product, at=NOW):
    return event("Product Viewed", at, product_id=product)


def test_the_third_view_of_one_product_in_a_day():
    shopper = Shopper().see(
        viewed("p", NOW - 20 * HOUR), viewed("q", NOW - HOUR), viewed("p", NOW - 2)
    )
    assert shopper["products.most_views_24h"] == 2
    assert shopper.see(viewed("p"))["products.most_views_24h"] == 3
    assert shopper.at("products.most_views_24h", NOW + 5 * HOUR) == 2


def test_recent_ones_the_latest_first():
    shopper = Shopper().see(
        viewed("p", NOW - 9), viewed("q", NOW - 8), viewed("p", NOW - 7), viewed("r", NOW - DAY)
    )
    assert shopper["products.recent"] == ["p", "q", "r"]
    assert shopper["products.last"] == "p"
    assert shopper["products.distinct_24h"] == 2


def test_nothing_viewed():
    shopper = Shopper().see(event("Product Viewed"))
    assert shopper["products.recent"] is None
    assert shopper["products.most_views_24h"] == 0


def test_twenty_products_and_five_views_are_kept():
    shopper = Shopper().see(*(viewed(f"p{n}", NOW - 99 + n) for n in range(25)))
    assert len(shopper["products.recent"]) == 20
    assert "p4" not in shopper["products.recent"]
    shopper.see(*(viewed("p24", NOW + n) for n in range(9)))
    assert shopper.at("products.most_views_24h", NOW + 9) == 5


def test_uniting_counts_the_views_of_both():
    mine, theirs = Shopper().see(viewed("p"), viewed("q")), Shopper().see(viewed("p", NOW - 5))
    catalog.merge(mine.customer, theirs.customer)
    assert mine["products.most_views_24h"] == 2
