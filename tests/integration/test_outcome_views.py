"""What came of the rules, as analysts ask for it: sends, coupons, conversions, revenue, lift."""

import math
from random import Random

import pytest

from simulator.confidence import Arm, fixed, sequence
from sinks.clickhouse import insert, migrate

DAY = 86_400_000
T0 = 1_780_272_000_000  # 2026-06-01 00:00 UTC
FIRST, SECOND, HELD = f"{1:026}", f"{2:026}", f"{3:026}"


def decision(number: int, cid: str, arm: str, *, at: int = T0, result: str = "act") -> dict:
    return {
        "rule": "cart-rescue", "run": "1", "decision_id": f"{number:026}", "cid": cid, "at": at,
        "result": result, "held": "" if result == "act" else arm, "arm": arm, "log_offset": number,
    }  # fmt: skip


def paid(order: str, cid: str, at: int, amount: float) -> dict:
    return {
        "order_id": order, "fact": "paid", "at": at, "message_id": order, "cid": cid,
        "amount": amount, "cost": amount / 2, "version": 1,
    }  # fmt: skip


def outcome(decision_id: str, fact: str, minutes: int, **more: str) -> dict:
    return {
        "decision_id": decision_id, "action": "notify:cart", "fact": fact, "cid": "a:one",
        "at": T0 + minutes * 60_000, "channel": "push", "version": 1, **more,
    }  # fmt: skip


def coupon(seq: int, fact: str, days: int, **more: object) -> dict:
    return {
        "coupon_id": "c1", "seq": seq, "fact": fact, "at": T0 + days * DAY, "cid": "a:one",
        "expires_at": T0 + 9 * DAY, "version": seq + 1, **more,
    }  # fmt: skip


@pytest.fixture
def shop(clickhouse):
    """One treated who came anonymously, clicked and bought; one held out who bought too."""
    migrate(clickhouse)
    tables = {
        "identities": [{"alias": "a:one", "cid": "u:1", "linked_at": T0, "version": 1}],
        "decisions": [
            decision(1, "a:one", "treated"),
            decision(2, "u:1", "treated", at=T0 + DAY),
            decision(3, "u:2", "holdout", result="hold"),
        ],
        "order_facts": [
            paid("o1", "u:1", T0 + 2 * DAY, 90.0),
            paid("o2", "u:2", T0 + 3 * DAY, 40.0),
            paid("late", "u:1", T0 + 30 * DAY, 70.0),
        ],
        "outcomes": [
            outcome(FIRST, "sent", 1, rule="cart-rescue"),
            outcome(FIRST, "delivered", 2),
            outcome(FIRST, "opened", 5),
            outcome(FIRST, "clicked", 6),
            outcome(SECOND, "failed", 9, rule="cart-rescue", reason="consent"),
        ],
        "coupon_ledger": [
            coupon(0, "issued", 0, rule="cart-rescue", offer="SAVE", face=10, decision_id=FIRST),
            coupon(1, "redeemed", 2, order_id="o1", cost=9),
        ],
    }
    for _ in range(2):  # a repeat adds nothing
        for table, rows in tables.items():
            insert(clickhouse, table, rows)
    return lambda view: list(clickhouse.query(f"SELECT * FROM {view}").named_results())


def test_a_message_is_one_row_with_all_that_became_of_it(shop):
    said = {row["decision_id"].decode(): row for row in shop("v_messages")}
    assert said[FIRST]["cid"] == "u:1"
    assert said[FIRST]["rule"] == "cart-rescue"
    assert said[FIRST]["opened_at"] > said[FIRST]["sent_at"]
    assert said[FIRST]["bounced_at"] is None
    assert said[SECOND]["failed_for"] == "consent"


def test_sends_are_counted_by_rule_channel_and_day(shop):
    (row,) = shop("v_sends")
    names = ("sent", "failed", "delivered", "opened", "clicked", "bounced", "unsubscribed")
    assert [row[name] for name in names] == [1, 1, 1, 1, 1, 0, 0]
    assert row["rule"] == "cart-rescue"


def test_a_coupon_is_one_row_and_a_redemption_brings_its_order(shop):
    (held,) = shop("v_coupons")
    assert (held["rule"], held["offer"], held["state"]) == ("cart-rescue", "SAVE", "redeemed")
    assert held["cid"] == "u:1"
    (row,) = shop("v_redemptions")
    assert (row["issued"], row["redeemed"], row["rate"]) == (1, 1, 1.0)
    assert (float(row["cost"]), float(row["revenue"]), row["hours_to_redeem"]) == (9.0, 90.0, 48.0)


def test_a_coupon_given_back_is_not_redeemed_and_costs_nothing(shop, clickhouse):
    insert(clickhouse, "coupon_ledger", [coupon(2, "reversed", 4, order_id="o1", cost=9)])
    (row,) = shop("v_redemptions")
    assert (row["redeemed"], row["reversed"], float(row["cost"])) == (0, 1, 0.0)


def test_an_order_within_the_days_is_a_conversion_of_the_last_decision_before_it(shop):
    found = {row["order_id"]: row for row in shop("v_conversions(days = 7)")}
    assert set(found) == {"o1", "o2"}
    assert found["o1"]["decision_id"].decode() == SECOND
    assert (found["o1"]["arm"], found["o2"]["arm"]) == ("treated", "holdout")
    assert {row["order_id"] for row in shop("v_conversions(days = 1)")} == {"o1"}


def test_last_touch_gives_an_order_to_the_last_click(shop):
    (row,) = shop("v_last_touch(days = 7)")
    assert (row["order_id"], row["decision_id"].decode()) == ("o1", FIRST)
    assert shop("v_last_touch(days = 1)") == []


def test_revenue_has_both_attributions_and_no_holdout(shop):
    (row,) = shop("v_revenue(days = 7)")
    assert (row["orders"], float(row["revenue"]), float(row["margin"])) == (1, 90.0, 45.0)
    assert (row["clicked_orders"], float(row["clicked_revenue"])) == (1, 90.0)


def test_lift_without_enough_buyers_has_no_interval(shop):
    (row,) = shop("v_lift(days = 7, until = '2026-07-01')")
    assert (row["n1"], row["n0"], row["lift"]) == (1, 1, 0.0)
    assert row["lift_low"] is None
    assert row["revenue_high"] is None


def test_the_views_interval_is_the_one_that_is_simulated(clickhouse):
    """The same customers by the view and by simulator/confidence.py, whose error is tested."""
    migrate(clickhouse)
    random = Random(1)
    arms: dict[str, list[float]] = {"treated": [], "holdout": []}
    decisions, orders = [], []
    for number in range(2_000):
        arm = "holdout" if random.random() < 0.2 else "treated"
        bought = random.random() < (0.15 if arm == "treated" else 0.1)
        amount = round(random.lognormvariate(4, 1), 2) if bought else 0.0
        result = "hold" if arm == "holdout" else "act"
        decisions.append(decision(number, f"u:{number}", arm, result=result))
        arms[arm].append(amount)
        if bought:
            orders.append(paid(f"o{number}", f"u:{number}", T0 + DAY, amount))
    insert(clickhouse, "decisions", decisions)
    insert(clickhouse, "order_facts", orders)
    query = "SELECT * FROM v_lift(days = 7, until = '2026-07-01')"
    (row,) = clickhouse.query(query).named_results()
    treated, held = (Arm.of(arms[name]) for name in ("treated", "holdout"))
    bought, held_bought = (Arm.of([float(y > 0) for y in arms[name]]) for name in arms)
    low, high = sequence(bought, held_bought, buyers=(bought.total, held_bought.total))
    assert (row["lift_low"], row["lift_high"]) == pytest.approx((low, high))
    low, high = sequence(treated, held, buyers=(bought.total, held_bought.total))
    assert (row["revenue_low"], row["revenue_high"]) == pytest.approx((low, high))
    low, high = fixed(bought, held_bought)
    assert row["half_width_fixed_n"] == pytest.approx((high - low) / 2)
    assert row["revenue_gained"] == pytest.approx(row["revenue_a_customer"] * treated.n)
    assert math.isclose(row["lift"], bought.mean - held_bought.mean)
