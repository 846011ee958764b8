from features import catalog
from tests.made_events import DAY, HOUR, MINUTE, NOW, Shopper, event


def viewed(at):
    return event("Product Viewed", at, product_id="p")


def test_what_is_counted_over_each_window():
    shopper = Shopper().see(
        event("Order Paid", NOW - 20 * DAY, order_id="o1", total=100),
        event("Products Searched", NOW - 6 * DAY, query="tea"),
        event("Product Added", NOW - 20 * HOUR, product_id="p"),
        viewed(NOW - 50 * MINUTE), viewed(NOW),
        event("Order Completed", NOW, order_id="o2", total="20.50"),
    )  # fmt: skip
    want = {
        "views": (2, 2, 2, 2), "adds": (0, 1, 1, 1), "searches": (0, 0, 1, 1),
        "orders": (1, 1, 1, 2), "spend": (20.5, 20.5, 20.5, 120.5),
    }  # fmt: skip
    for what, counts in want.items():
        assert (
            tuple(shopper[f"windows.{what}_{over}"] for over in ("1h", "24h", "7d", "30d"))
            == counts
        )


def test_windows_run_out():
    shopper = Shopper().see(viewed(NOW))
    for over, after in (
        ("1h", 66 * MINUTE),
        ("24h", 26 * HOUR),
        ("7d", 8 * DAY),
        ("30d", 31 * DAY),
    ):
        assert shopper.at(f"windows.views_{over}", NOW + after) == 0
        assert shopper.at(f"windows.views_{over}", NOW) == 1


def test_a_late_event_counts_where_it_belongs():
    shopper = Shopper().see(viewed(NOW), viewed(NOW - 3 * HOUR), viewed(NOW - 90 * DAY))
    assert [shopper[f"windows.views_{over}"] for over in ("1h", "24h", "30d")] == [1, 2, 2]
    assert len(shopper.customer.state("windows").coarse) <= 2


def test_buckets_are_few():
    shopper = Shopper()
    for minutes in range(0, 60 * 24 * 60, 240):
        shopper.see(viewed(NOW - 60 * DAY + minutes * MINUTE))
    state = shopper.customer.state("windows")
    assert len(state.fine) <= 13
    assert len(state.hours) <= 25
    assert len(state.coarse) <= 61


def test_uniting_sums():
    mine, theirs = Shopper().see(viewed(NOW)), Shopper().see(viewed(NOW), viewed(NOW - 2 * DAY))
    catalog.merge(mine.customer, theirs.customer)
    assert mine["windows.views_1h"] == 2
    assert mine["windows.views_7d"] == 3
