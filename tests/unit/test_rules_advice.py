"""What is legal and probably not meant: told with its place, never stopping a load."""

import pytest

from rules.advice import advice
from rules.load import book_from_sources

GOOD = """
rule: r
owner: growth
status: live
when: {event: Product Added}
if: cart.value >= 200
once_per: cart
limit: 1 per 7d
do:
  - notify: {via: [push], template: hello}
examples:
  - {given: [], expect: []}
"""


def told(*texts: str) -> list[str]:
    files = {f"{number}.yaml": text for number, text in enumerate(texts)}
    return [str(one) for one in advice(book_from_sources(files, unbuilt=frozenset()))]


def test_a_whole_rule_is_not_talked_about():
    assert told(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("owner: growth", "title: x", "0.yaml:2:1: r: nobody answers for it"),
        ("examples:\n  - {given: [], expect: []}\n", "", "it is live and has no examples"),
        ("limit: 1 per 7d", "holdout: 0%", "it has no holdout"),
        ("limit: 1 per 7d", "priority: 3", "it has no `limit`: a customer gets it for every cart"),
        ("limit: 1 per 7d", "limit: 1 per 7d\nstop_on: Order Paid", "it never waits"),
        ("if: cart.value >= 200", "if: cart.value >= 200 and cart.value < 100", "never hold"),
        (
            "if: cart.value >= 200",
            "if:\n  - orders.count == 0\n  - cart.value > 1\n  - orders.count >= 2",
            "two of its conditions contradict",
        ),
        ("if: cart.value >= 200", 'if: cart.id == "a" and cart.id == "b"', "never hold"),
        ("Product Added", "Product Launched", "write `item: Product Launched`"),
        ("Product Added", "My Own Thing", "`My Own Thing` is no event of the vocabulary"),
        (
            "- notify: {via: [push], template: hello}",
            "- coupon: {offer: A, off: 30, over: 20, valid: 1d}",
            "takes 30 off from 20 on",
        ),
        (
            "- notify: {via: [push], template: hello}",
            "- coupon: {offer: A, off: 3, over: 20, valid: 1d}",
            "gives coupons and has no `budget`",
        ),
        (
            "- notify: {via: [push], template: hello}",
            "- show: {template: hello}",
            "no page asks here",
        ),
        ("if: cart.value >= 200", "if: visits.active and not visits.active", "never hold"),
        (
            "when: {event: Product Added}",
            "when:\n  event: Product Added\n  if: cart.value < 90",
            "its `if` and that of its trigger contradict each other",
        ),
        (
            "when: {event: Product Added}\nif: cart.value >= 200\nonce_per: cart",
            (
                "when: {at: [2026-12-01 10:00], audience: everyone}\nonce_per: tick\n"
                "active: {from: 2026-11-01, until: 2026-12-01 09:00}"
            ),
            "none of its moments lies within `active`",
        ),
        (
            "do:\n",
            "stop_on: Order Payed\ndo:\n  - wait: {for: 1h, since_last: Cart Looked At}\n",
            "`Order Payed` is no event of the vocabulary",
        ),
        (
            "do:\n",
            (
                "do:\n  - choose:\n      - if: cart.value > 3 and cart.value < 2\n"
                "        do: [{tag: {add: a}}]\n      - do: []\n"
            ),
            "a branch of `choose` is never taken",
        ),
    ],
)
def test_it_is_told(old: str, new: str, why: str):
    assert old in GOOD
    found = told(GOOD.replace(old, new))
    assert any(why in one for one in found), found


@pytest.mark.parametrize(
    "condition",
    [
        "cart.value >= 200 or cart.value < 100",
        "cart.value >= 200 and cart.value <= 200",
        'cart.id == "a" or cart.id == "b"',
        "not (cart.value > 3 and cart.value < 1)",
    ],
)
def test_what_may_hold_is_not_accused(condition: str):
    assert told(GOOD.replace("cart.value >= 200", condition)) == []


def test_two_rules_that_answer_the_same_are_told_and_only_those():
    other = GOOD.replace("rule: r", "rule: s")
    assert any("r answers Product Added with a message too" in one for one in told(GOOD, other))
    assert told(GOOD, other.replace("Product Added", "Cart Viewed")) == []
    assert told(GOOD, other.replace("live", "draft")) == []
    assert told(GOOD, other.replace("once_per: cart", "once_per: day")) == []
