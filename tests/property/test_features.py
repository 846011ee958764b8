"""What holds for any history: bounded memory, order of late events, merges that sum."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import catalog
from features.customer import Customer
from features.events import decode, encode, parse
from tests.made_events import DAY, HOUR, NOW, Shopper, event, wild_events, wild_item

BLOB_BYTES_MAX = 52 * 1024  # every list full, every id longer than a state keeps, 1,000 orders
USUAL_BYTES_MAX = 24 * 1024  # ids of up to 20 digits, 1,000 orders, 50 coupons, 100 things bought
quick = settings(max_examples=40, deadline=None)


def nothing(table, row):
    pass


@pytest.mark.parametrize(("long", "bound"), [(True, BLOB_BYTES_MAX), (False, USUAL_BYTES_MAX)])
def test_memory_is_bounded_whatever_comes(long, bound):
    chance = random.Random(618)
    customer = Customer.decode("u:1", None, catalog.REGISTRY)
    largest = 0
    for number in range(20_000):
        item = wild_item(chance, ids=10**18, long=long)
        catalog.apply(customer, parse(item, source="t", received_at=NOW), nothing)
        if number % 200 == 0:
            blob = customer.encode()
            largest = max(largest, len(blob))
            customer = Customer.decode("u:1", blob, catalog.REGISTRY)
    largest = max(largest, len(customer.encode()))
    assert bound / 3 < largest <= bound, largest


def test_two_full_customers_unite_within_the_same_bound():
    chance = random.Random(1111)
    both = []
    for _ in range(2):
        customer = Customer.decode("u:1", None, catalog.REGISTRY)
        for _ in range(6_000):
            item = wild_item(chance, ids=10**18)
            catalog.apply(customer, parse(item, source="t", received_at=NOW), nothing)
        both.append(customer)
    assert len(catalog.merge(*both).encode()) <= BLOB_BYTES_MAX


def long_id(kind, number):
    return f"{'裙' * 190}{kind}{number:03d}"


def test_the_largest_customer_there_can_be():
    shopper = Shopper()
    customer = shopper.customer

    def see(name, age, **properties):
        catalog.apply(customer, event(name, NOW - age, **properties), nothing)

    for n in range(1_100):
        see("Order Paid", 31 * DAY - n, order_id=long_id("o", n), total=1e12)
    for n in range(62):
        see("Product Viewed", n * 12 * HOUR, product_id=long_id("v", 99))
        see("Product Viewed", n * HOUR // 2, product_id=long_id("v", 99))
        see("Product Viewed", n * HOUR // 12, product_id=long_id("v", 99))
        see("Product Added to Wishlist", n, product_id=long_id("w", n))
        see("Products Searched", n, query=long_id("q", n))
        for view in range(6):
            see("Product Viewed", view, product_id=long_id("v", n), category=long_id("c", n), brand=long_id("b", n))  # fmt: skip
        see("Product Added", n, product_id=long_id("p", n), price=1e12, quantity=2**31 - 1)
        see("Message Unsubscribed", n, channel=long_id("u", n))
        see("Coupon Issued", n, code=long_id("k", n), coupon_id=long_id("i", n), offer=long_id("f", n), expires_at=NOW + n)  # fmt: skip
        see("Coupon Reserved", n, code=long_id("k", n), reservation_id=long_id("r", n), order_id=long_id("o", n))  # fmt: skip
        see("Points Earned", n, points=2**40, order_id=long_id("o", n), expires_at=NOW + n)
        see("Ticket Opened", n, ticket_id=long_id("t", n))
        see("Consent Updated", n, purpose=long_id("m", n), channels=[long_id("h", k) for k in range(20)])  # fmt: skip
        one = event("Product Viewed", NOW - n, channel=f"{'c' * 25}{n}")
        one.device = one.channel
        catalog.apply(customer, one, nothing)
    assert shopper["cart.lines"] == 50
    assert len(shopper["products.recent"]) == 20
    assert shopper["orders.count"] == 1_100
    size = len(customer.encode())
    assert BLOB_BYTES_MAX * 0.75 < size <= BLOB_BYTES_MAX, size


@quick
@given(wild_events())
def test_an_event_survives_the_log(one):
    assert decode(encode(one)) == one


@quick
@given(st.lists(wild_events(), max_size=30))
def test_storing_between_events_changes_nothing(events):
    straight = Customer.decode("u:1", None, catalog.REGISTRY)
    stored = Shopper()
    for one in events:
        catalog.apply(straight, one, nothing)
        stored.see(one)
    for name in catalog.FEATURES:
        want, got = catalog.value(straight, name, NOW), stored[name]
        assert want == got or (want != want and got != got), name


EXACT = (
    "windows.views_1h", "windows.views_24h", "windows.views_7d", "windows.views_30d",
    "windows.spend_30d", "orders.count", "orders.total", "orders.days_since_last",
    "orders.days_since_first", "orders.last_id", "products.recent", "products.most_views_24h",
    "searches.recent", "searches.count", "seen.days_since_first", "seen.days_since_last",
    "seen.channel", "affinity.category",
)  # fmt: skip


@st.composite
def histories(draw):
    """Up to 25 events of few kinds within 40 days, no two at the same time."""
    ages = draw(st.lists(st.integers(0, 40 * DAY), max_size=25, unique=True))
    made = []
    for number, age in enumerate(ages):
        name = draw(st.sampled_from(
            ["Product Viewed", "Product Added", "Order Paid", "Products Searched"]
        ))  # fmt: skip
        which = draw(st.integers(0, 4))
        made.append(event(
            name, NOW - age, channel=f"c{which}", product_id=f"p{which}", category=f"k{which}",
            price=10, query=f"q{which}", order_id=f"o{number}", total=25,
        ))  # fmt: skip
    return made


@quick
@given(histories(), st.randoms(use_true_random=False))
def test_late_events_fold_to_what_they_would_have_been_in_time(events, chance):
    in_order = Shopper().see(*sorted(events, key=lambda e: e.at))
    late = list(events)
    chance.shuffle(late)
    shuffled = Shopper().see(*late)
    for name in EXACT:
        want, got = in_order[name], shuffled[name]
        assert (
            want == pytest.approx(got, nan_ok=True) if isinstance(want, float) else want == got
        ), name


@quick
@given(histories(), st.data())
def test_a_merge_keeps_sums_and_either_order_reads_alike(events, data):
    cut = data.draw(st.integers(0, len(events)))
    mine, theirs = Shopper().see(*events[:cut]), Shopper().see(*events[cut:])
    whole = Shopper().see(*sorted(events, key=lambda e: e.at))
    swapped = Shopper().see(*events[cut:])
    catalog.merge(swapped.customer, Shopper().see(*events[:cut]).customer)
    catalog.merge(mine.customer, theirs.customer)
    for name in EXACT:
        want, got, other = whole[name], mine[name], swapped[name]
        for value in (got, other):
            assert (
                want == pytest.approx(value, nan_ok=True)
                if isinstance(want, float)
                else want == value
            ), name


@quick
@given(st.lists(st.tuples(st.integers(0, 35 * DAY), st.integers(1, 10**6)), max_size=30))
def test_windows_hold_all_of_their_time_and_one_bucket_more_at_most(payments):
    payments.sort(reverse=True)
    shopper = Shopper().see(*(
        event("Order Paid", NOW - age, order_id=str(n), total=fen / 100)
        for n, (age, fen) in enumerate(payments)
    ))  # fmt: skip
    for over, span, bucket in (
        ("1h", HOUR, HOUR // 12), ("24h", DAY, HOUR), ("7d", 7 * DAY, 12 * HOUR), ("30d", 30 * DAY, 12 * HOUR),
    ):  # fmt: skip
        least = sum(fen for age, fen in payments if age <= span)
        most = sum(fen for age, fen in payments if age <= span + bucket)
        spend = round(shopper[f"windows.spend_{over}"] * 100)
        assert least <= spend <= most
        assert shopper[f"windows.orders_{over}"] <= len(payments)


@quick
@given(
    st.lists(st.tuples(st.integers(1, 9), st.floats(0.01, 999)), min_size=1, max_size=8),
    st.floats(0, 5000),
)
def test_the_rows_of_an_order_add_up_to_what_was_paid(lines, total):
    products = [
        {"product_id": f"p{n}", "quantity": quantity, "price": round(price, 2)}
        for n, (quantity, price) in enumerate(lines)
    ]
    shopper = Shopper().see(event("Order Paid", order_id="o", products=products, total=total))
    assert len(shopper.rows) == len(products)
    assert sum(round(row["amount"] * 100) for row in shopper.rows) == round(total * 100)
    assert math.isclose(shopper["orders.total"], round(total * 100) / 100)
    assert [row["line"] for row in shopper.rows] == list(range(len(products)))
