"""What becomes of a coupon, told by the shop's events, and what the ledger says of it."""

import pytest

from features.coupon_ledger import GRACE_MS, REFUND, Coupon, issue, lapse
from features.coupons import HOLD_MS
from tests.made_events import DAY, HOUR, MINUTE, NOW, Shopper, event

LIVES = 2 * DAY


def given(shopper, code="C1", at=NOW, **more):
    coupon = Coupon(offer="SAVE", issued_at=at, expires_at=at + LIVES, off=30.0, rule="r", **more)
    issue(shopper.customer.touch("coupons"), code, coupon, shopper._emit)
    return shopper


@pytest.fixture
def shopper():
    return given(Shopper())


def facts(shopper, code="C1"):
    rows = [row for table, row in shopper.ledger if table == "coupon_ledger"]
    assert [row["seq"] for row in rows] == list(range(len(rows)))
    assert all(row["coupon_id"] == code for row in rows)
    return [row["fact"] for row in rows]


def state(shopper, code="C1"):
    return shopper.customer.state("coupons").coupons[code].state


def pass_time(shopper, until):
    lapse(shopper.customer.touch("coupons"), until, shopper._emit)


def test_a_coupon_is_his_from_its_issue_to_its_end(shopper):
    assert shopper["coupons.count"] == shopper["coupons.unused"] == 1
    assert shopper["coupons.offers"] == ["SAVE"]
    assert shopper["coupons.expiring_days"] == 2
    assert shopper["coupons.expires_at"] == NOW + LIVES
    assert shopper.at("coupons.unused", NOW + LIVES) == 0
    pass_time(shopper, NOW + LIVES + GRACE_MS - 1)
    assert facts(shopper) == ["issued"]
    pass_time(shopper, NOW + LIVES + GRACE_MS)
    assert facts(shopper) == ["issued", "expired"]
    assert shopper.ledger[-1][1]["at"] == NOW + LIVES


def test_the_shop_issues_one_too():
    shopper = Shopper().see(
        event("Coupon Issued", code="X", offer="GIFT", off="10%", most=25, expires_at=NOW + DAY),
        event("Coupon Issued", code="X", offer="GIFT", off="10%", most=25, expires_at=NOW + DAY),
        event("Coupon Issued", code="ENDLESS"),
    )
    assert facts(shopper, "X") == ["issued"]
    assert shopper.ledger[0][1]["face"] == 25
    known = shopper.customer.state("coupons").coupons["X"]
    assert (known.off, known.off_kind, known.most) == (10.0, "percent", 2500)


def test_reserved_for_one_checkout_and_redeemed_by_it(shopper):
    shopper.see(
        event("Coupon Reserved", code="C1", checkout_id="k1", hold_s=60),
        event("Coupon Reserved", code="C1", checkout_id="k1", hold_s=60),
        event("Coupon Reserved", code="C1", checkout_id="k2"),
        event("Coupon Redeemed", code="C1", reservation_id="k2", order_id="o2", discount=30),
        event("Coupon Released", code="C1", reservation_id="k2"),
        event("Coupon Redeemed", code="C1", reservation_id="k1", order_id="o1", discount=28.5),
        event("Coupon Redeemed", code="C1", reservation_id="k1", order_id="o1", discount=28.5),
        event("Order Paid", order_id="o1", coupon="C1", discount=28.5, total=100),
    )
    assert facts(shopper) == ["issued", "reserved", "redeemed"]
    assert shopper.ledger[-1][1]["cost"] == 28.5
    assert shopper.ledger[-1][1]["order_id"] == "o1"
    assert shopper["coupons.redeemed"] == 1


def test_a_hold_ends_by_itself_and_then_another_may_have_it(shopper):
    shopper.see(event("Coupon Reserved", code="C1", checkout_id="k1"))
    pass_time(shopper, NOW + HOLD_MS)
    assert facts(shopper) == ["issued", "reserved", "released"]
    shopper.see(event("Coupon Reserved", NOW + HOUR, code="C1", checkout_id="k2"))
    later = NOW + HOUR + HOLD_MS
    shopper.see(event("Coupon Reserved", later, code="C1", checkout_id="k3"))
    assert facts(shopper)[3:] == ["reserved", "released", "reserved"]


def test_what_is_reserved_at_its_end_may_still_be_used(shopper):
    end = NOW + LIVES
    shopper.see(event("Coupon Reserved", end - MINUTE, code="C1", checkout_id="k1"))
    pass_time(shopper, end + GRACE_MS)
    shopper.see(event("Coupon Redeemed", end + GRACE_MS, code="C1", reservation_id="k1"))
    assert state(shopper) == "redeemed"


def test_too_late_to_reserve(shopper):
    shopper.see(event("Coupon Reserved", NOW + LIVES, code="C1", checkout_id="k1"))
    assert facts(shopper) == ["issued"]


def test_an_order_that_names_it_uses_it(shopper):
    shopper.see(
        event("Order Completed", order_id="o1", coupon="C1", discount=50, total=70),
        event("Order Paid", order_id="o1", coupon="C1", discount=50, total=70),
    )
    assert facts(shopper) == ["issued", "redeemed"]
    assert shopper.ledger[-1][1]["cost"] == 30  # of the order's discounts, what it can take off


def test_an_order_uses_what_was_reserved_for_it(shopper):
    shopper.see(
        event("Coupon Reserved", code="C1", checkout_id="k1", order_id="o1"),
        event("Order Paid", order_id="o1", total=70),
    )
    assert facts(shopper) == ["issued", "reserved", "redeemed"]


@pytest.mark.parametrize(
    ("off", "kind", "said", "cost"),
    [
        (10.0, "percent", {"total": 90, "subtotal": 100}, 10),
        (10.0, "percent", {"total": 900, "subtotal": 1_000}, 50),
        (0.0, "free_shipping", {"shipping": 12.5}, 12.5),
        ("SKU9", "gift", {"total": 10}, 50),
        (30.0, "money", {"total": 10}, 30),
    ],
)
def test_what_it_cost_when_nobody_says(off, kind, said, cost):
    shopper = Shopper()
    coupon = Coupon(expires_at=NOW + DAY, issued_at=NOW, off=off, off_kind=kind, most=5_000)
    issue(shopper.customer.touch("coupons"), "C1", coupon, shopper._emit)
    shopper.see(event("Order Paid", order_id="o", coupon="C1", **said))
    assert shopper.ledger[-1][1]["cost"] == cost


def test_the_shop_bears_its_share():
    shopper = given(Shopper(), share=0.6)
    shopper.see(event("Order Paid", order_id="o", coupon="C1"))
    assert shopper.ledger[-1][1]["cost"] == 18


def test_a_cancelled_order_gives_it_back_and_it_can_be_used_again(shopper):
    shopper.see(
        event("Order Paid", order_id="o1", coupon="C1", discount=30, total=70),
        event("Order Cancelled", order_id="o1"),
    )
    assert facts(shopper) == ["issued", "redeemed", "reversed"]
    assert shopper.ledger[-1][1]["cost"] == 30
    assert (shopper["coupons.unused"], shopper["coupons.redeemed"]) == (1, 0)
    shopper.see(event("Order Paid", order_id="o2", coupon="C1", discount=30, total=70))
    pass_time(shopper, NOW + 9 * DAY)
    assert facts(shopper)[3:] == ["redeemed"]


def test_an_order_cancelled_before_it_was_paid_releases_it(shopper):
    shopper.see(
        event("Coupon Reserved", code="C1", order_id="o1"), event("Order Cancelled", order_id="o1")
    )
    assert facts(shopper) == ["issued", "reserved", "released"]


def test_a_refund_gives_it_back_only_whole_and_only_by_the_offer():
    bought = event("Order Paid", order_id="o1", coupon="C1", discount=30, total=70)
    parts = [event("Order Refunded", order_id="o1", refund_id=n, amount=35) for n in "ab"]
    lost, back = given(Shopper()), given(Shopper(), returns=REFUND)
    lost.see(bought, *parts)
    assert facts(lost) == ["issued", "redeemed"]
    back.see(bought, parts[0])
    assert facts(back) == ["issued", "redeemed"]
    back.see(parts[1])
    assert facts(back) == ["issued", "redeemed", "reversed"]
    back.see(event("Order Cancelled", order_id="o1"))
    assert len(facts(back)) == 3


def test_what_could_not_be_told_is_void_unless_it_was_used(shopper):
    shopper.see(event("Message Failed", coupons=["C1", "C9", 7]))
    assert facts(shopper) == ["issued", "voided"]
    used = given(Shopper()).see(event("Order Paid", order_id="o", coupon="C1"))
    used.see(event("Message Failed", coupons=["C1"]), event("Coupon Voided", code="C1"))
    assert state(used) == "redeemed"


def test_a_browser_reserves_nothing(shopper):
    shopper.see(event("Coupon Applied", coupon_id="C1"), event("Coupon Removed", coupon_id="C1"))
    assert facts(shopper) == ["issued"]


def test_the_last_fifty_are_kept_the_finished_going_first():
    shopper = Shopper()
    for n in range(49):
        given(shopper, f"K{n:02}", NOW + n)
    shopper.see(event("Order Paid", order_id="o", coupon="K30"))
    given(shopper, "K49", NOW + 49)
    given(shopper, "K50", NOW + 50)
    kept = shopper.customer.state("coupons").coupons
    assert len(kept) == 50
    assert "K30" not in kept
    given(shopper, "K51", NOW + 51)
    voided = [row["coupon_id"] for _, row in shopper.ledger if row["fact"] == "voided"]
    assert voided == ["K00"]
    assert shopper["coupons.count"] == 52
