"""Risk's facet: what is counted of the last orders, and how the signs add up."""

import math

import pytest

from features import risk, risk_signs
from features.catalog import FEATURES
from features.risk import FACET, Risk
from tests.made_events import DAY, NOW, event

HOUR, MINUTE = DAY // 24, DAY // 1440


def nothing(table, row):
    raise AssertionError("risk has no facts of its own")


def folded(*events):
    state = Risk()
    for one in events:
        FACET.fold(state, one, nothing)
    return state


def paid(n, at=0, **more):
    return event("Order Paid", at=NOW + at, order_id=f"o{n}", total=50, **more)


def of(name, n, at=0, **more):
    return event(name, at=NOW + at, order_id=f"o{n}", **more)


def read(state, name):
    return FEATURES[f"risk.{name}"].read(state, NOW)


def honest():
    """Eight orders over months, two with a coupon, one sent back."""
    events = [paid(n, n * 10 * DAY, coupon="C" if n < 2 else "") for n in range(8)]
    events += [of("Order Delivered", n, n * 10 * DAY + 2 * DAY) for n in range(8)]
    return [*events, of("Order Refunded", 5, 60 * DAY, refund_id="r")]


def test_an_honest_customer_shows_no_sign():
    state = folded(*honest())
    assert read(state, "abuse") == 0.0
    assert read(state, "signs") == []
    assert read(state, "coupon_share") == 0.25
    assert read(state, "orders") == 8


def test_who_is_not_known_has_no_share_and_no_abuse():
    state = Risk()
    assert math.isnan(read(state, "coupon_share"))
    assert read(state, "abuse") == 0.0


def test_coupons_that_come_back_with_the_goods_count_however_they_were_named():
    events = []
    for n in range(5):
        events.append(paid(n, n * DAY, products=[{"product_id": "p", "coupon": "C"}]))
        events.append(of("Order Refunded" if n % 2 else "Order Cancelled", n, n * DAY + HOUR))
    state = folded(*events)
    assert read(state, "coupon_returns") == 5
    assert read(state, "signs")[0] == "coupon_returns"
    assert read(state, "abuse") >= 0.8
    redeemed = folded(paid(1), of("Coupon Redeemed", 1, 1, coupon="C"), of("Order Cancelled", 1, 2))
    assert read(redeemed, "coupon_returns") == 1


def test_a_parcel_that_travels_in_minutes_was_none():
    events = [paid(n, n * DAY, merchant_id="m1") for n in range(6)]
    events += [of("Order Delivered", n, n * DAY + 5 * MINUTE) for n in range(6)]
    events += [of("Product Reviewed", n, n * DAY + 6 * MINUTE, rating=5) for n in range(6)]
    events += [of("Order Refunded", n, n * DAY + HOUR, refund_id=f"r{n}") for n in range(3)]
    state = folded(*events)
    assert read(state, "fast") == 6
    assert read(state, "merchant_orders") == 6
    assert read(state, "after_review") == 3
    assert set(read(state, "signs")) >= {"received_at_once", "back_after_review"}
    assert read(state, "abuse") > 0.9


def test_a_review_after_the_refund_is_no_sign():
    state = folded(paid(1), of("Order Refunded", 1, 1), of("Product Reviewed", 1, 2, rating=1))
    assert read(state, "after_review") == 0


def test_orders_within_an_hour_are_a_burst():
    state = folded(*[paid(n, n * 10 * MINUTE) for n in range(9)])
    assert read(state, "burst") == 7
    assert "burst" in read(state, "signs")
    assert read(folded(*[paid(n, n * 2 * HOUR) for n in range(9)]), "burst") == 1


def test_a_ring_is_two_who_referred_each_other_and_the_same_device_gives_a_self_away():
    state = folded(
        event("Referral Sent", code="r", referrer="1", friend="u2"),
        event("Referral Accepted", code="q", referrer="u2", friend="1"),
        event("Referral Accepted", code="s", referrer="1", friend="u3"),
    )
    assert (read(state, "referrals"), read(state, "ring")) == (2, 1)
    assert read(state, "own_referrals") == 0
    assert risk.neighbours(state, risk.account("u3"))
    assert not risk.neighbours(state, risk.account("u:u3"))
    assert read(state, "own_referrals") == 1


def test_what_he_looked_at_belongs_to_the_order_and_unknown_is_not_nothing():
    state = folded(*[paid(n, n * DAY) for n in range(4)])
    assert read(state, "blind") == 0
    risk.seen_before(state, paid(1), 0)
    risk.seen_before(state, paid(2), 9_999)
    risk.seen_before(state, paid("unknown"), 0)
    assert read(state, "blind") == 1


def test_addresses_and_means_of_payment_are_counted_once_each_and_bounded():
    state = folded(
        *[paid(n, n * DAY, address_id=f"a{n % 3}", payment_id=f"k{n}") for n in range(40)]
    )
    assert read(state, "addresses") == 3
    assert read(state, "payments") == 16
    assert read(state, "orders") == 20


def test_who_behaves_for_twenty_orders_is_trusted_again():
    bad = [paid(n, n * DAY, coupon="C") for n in range(5)]
    bad += [of("Order Refunded", n, n * DAY + HOUR) for n in range(5)]
    good = [paid(n, n * DAY) for n in range(100, 120)]
    assert read(folded(*bad), "abuse") > 0.5
    assert read(folded(*bad, *good), "abuse") == 0.0


def test_events_of_orders_unknown_or_out_of_order_are_taken_as_they_come():
    state = folded(of("Order Refunded", 7), paid(2, DAY), paid(1), of("Order Delivered", 1, HOUR))
    assert [one.at for one in state.orders] == [NOW, NOW + DAY]


def test_uniting_counts_an_order_once_and_keeps_what_either_knew():
    mine = folded(paid(1, coupon="C"), paid(2, DAY))
    theirs = folded(paid(1), of("Order Cancelled", 1, 1), paid(3, 2 * DAY, payment_id="k"))
    united = FACET.merge(mine, theirs)
    assert read(united, "orders") == 3
    assert read(united, "coupon_returns") == 1
    assert read(united, "payments") == 1


@pytest.mark.parametrize("name", risk_signs.SIGNS)
def test_no_sign_alone_is_certain_and_each_can_be_there(name):
    sign = risk_signs.SIGNS[name]
    most = dict.fromkeys(risk.NUMBERS, 20.0) | {"coupon_share": 1.0}
    least = dict.fromkeys(risk.NUMBERS, 0.0) | {"coupon_share": math.nan}
    assert 0 < sign.weight < 1
    assert sign.clear(most) == 1.0
    assert sign.clear(least) == 0.0
