"""Every rule that ships: loads, has a title, an owner and examples, and its examples hold."""

from dataclasses import replace
from pathlib import Path

import pytest

from rules.book import Book
from rules.load import load_book, load_text
from rules.model import Act, Alert, Coupon, EventTrigger, Notify, Show
from simulator.rule_tests import run_example, run_examples

RULES = Path(__file__).resolve().parents[2] / "rules"
BOOK = load_book(RULES)
SHIPPED = {
    "ask-consent", "bad-review", "big-sale", "birthday", "browse-nudge", "cart-rescue",
    "coupon-expiring", "first-order-welcome", "leaves-high-value", "live-cart", "member-day",
    "points-expiring", "price-drop", "referral", "replenishment", "ship-delay", "tier-upgrade",
    "second-order", "slipping-away", "unpaid-order", "welcome", "win-back",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BOOK.rules))
def test_a_shipped_rule_is_whole(name: str):
    rule = BOOK.rules[name]
    assert rule.file == f"campaigns/{name}.yaml"
    assert rule.status == "live"
    assert rule.title != name
    assert rule.owner
    assert len(rule.examples) >= 2
    assert any(not example.expect or example.arm == "holdout" for example in rule.examples) or any(
        len(example.given) > 1 for example in rule.examples
    )
    held_out = BOOK.shop.holdout_marketing if rule.purpose == "marketing" else 0.0
    assert rule.holdout == held_out
    assert rule.limits or rule.once_per in {"customer", "month", "year", "order"}


@pytest.mark.parametrize(
    "case",
    [(rule.name, number) for rule in BOOK.rules.values() for number in range(len(rule.examples))],
    ids=lambda case: f"{case[0]}-{BOOK.rules[case[0]].examples[case[1]].name}",
)
def test_a_shipped_rules_examples_hold(case: tuple[str, int]):
    name, number = case
    rule = BOOK.rules[name]
    outcome = run_example(BOOK, rule, rule.examples[number])
    assert outcome.passed, str(outcome)


def test_the_campaigns_ship():
    assert set(BOOK.rules) >= SHIPPED
    assert isinstance(BOOK.rules["browse-nudge"].trigger, EventTrigger)
    assert BOOK.by_event["Order Paid"] == BOOK.by_event["Order Completed"]


def test_every_template_and_offer_is_of_some_rule():
    actions = [
        action
        for rule in BOOK.rules.values()
        for step in rule.steps
        if isinstance(step, Act)
        for action in step.actions
    ]
    named = {action.template for action in actions if isinstance(action, Alert | Notify | Show)}
    files = {path.name.partition(".")[0] for path in (RULES / "templates").glob("*.j2")}
    assert named == files
    assert {action.offer for action in actions if isinstance(action, Coupon)} == set(BOOK.offers)


def test_every_shipped_template_has_both_languages():
    names = {path.name for path in (RULES / "templates").glob("*.j2")}
    for name in names:
        stem, language, channel, _ = name.split(".")
        other = {"zh": "en", "en": "zh"}[language]
        assert f"{stem}.{other}.{channel}.j2" in names


GREETING = """
rule: greeting
when: {event: Signed Up}
once_per: customer
do:
  - notify: {via: [push], template: hello}
  - wait: 1d
  - coupon: {offer: HI, off: "= max(cart.value * 0.1, 5)", valid: 7d}
    if: cart.items > 0
examples:
"""


def greeting(example: str) -> Book:
    return load_text(GREETING + example)


def told(example: str) -> str:
    (outcome,) = run_examples(greeting(example))
    return "" if outcome.passed else str(outcome)


GIVEN = """
  - name: one
    customer: {cart.value: 300, cart.items: 1, consent.marketing: [push]}
    given: [{at: 0m, event: Signed Up}]
    expect:
"""
HELLO = "      - {at: 0m, notify: hello}\n"
COUPON = "      - {at: 1d, coupon: HI, off: 30}\n"


def test_an_example_that_holds_says_nothing():
    assert told(GIVEN + HELLO + COUPON) == ""


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        (HELLO, "not expected at 1d: coupon HI"),
        (COUPON, "not expected at 0m: notify hello"),
        (HELLO + COUPON + "      - {at: 2d, held: limit}\n", "expected at 2d: held: limit"),
        (HELLO + COUPON.replace("30", "31"), "at 1d: expected off 31, got 30"),
        (HELLO.replace("hello", "bye") + COUPON, "expected at 0m: notify bye"),
        (HELLO.replace("0m", "1m") + COUPON, "expected at 1m: notify hello"),
        (HELLO + HELLO + COUPON, "expected at 0m: notify hello"),
        (HELLO + COUPON.replace("coupon: HI", "coupon: HI, notify: hello"), "expected at 1d"),
    ],
)
def test_an_example_that_does_not_hold_says_why_and_what_happened(expected: str, why: str):
    failure = told(GIVEN + expected)
    assert why.replace("0m", "0d") in failure.replace("0m", "0d")
    assert "2026-01-05 00:00  event Signed Up" in failure
    assert "notify hello" in failure
    assert "rule.yaml:12" in failure


def test_holds_that_are_not_mentioned_do_not_matter_and_those_that_are_do():
    silent = GIVEN.replace("[push]", "[sms]")
    assert told(silent.replace("expect:", "expect: []").rstrip() + "\n") == ""
    assert told(silent + "      - {at: 0m, held: consent}\n") == ""
    assert "expected at" in told(silent + "      - {at: 0m, held: holdout}\n")
    held_out = (GIVEN + "      - {at: 0m, held: holdout}\n").replace(
        "given", "arm: holdout\n    given"
    )
    assert told(held_out) == ""


def test_an_example_may_name_some_of_a_decisions_actions_and_never_what_is_not_done():
    both = """
  - name: one
    customer: {cart.value: 300, cart.items: 1}
    given: [{at: 0m, event: Signed Up}]
    expect: [{at: 0m, EXPECTED}]
"""
    rule = GREETING.replace("  - wait: 1d\n", "")
    for expected, holds in (
        ("coupon: HI, off: 30", True), ("notify: hello", True),
        ("coupon: HI, notify: hello", True), ("coupon: HI, notify: bye", False),
        ("coupon: HI, off: 31", False), ("task: vip", False),
    ):  # fmt: skip
        (outcome,) = run_examples(load_text(rule + both.replace("EXPECTED", expected)))
        assert outcome.passed == holds, expected


def test_the_rules_that_were_designed_first_hold_by_their_own_examples():
    text = (RULES.parent / "tests/contract/language/as-designed.yaml").read_text()
    outcomes = run_examples(load_text(text))
    assert {one.rule for one in outcomes} == {"cart-rescue", "win-back", "ship-delay"}
    assert not [str(one) for one in outcomes if not one.passed]


def test_an_example_ends_at_until():
    assert told(GIVEN.replace("given", "until: 5h\n    given") + HELLO) == ""


def test_a_draft_is_tried_as_if_live_and_a_broken_campaign_fails_its_examples():
    book = greeting(GIVEN + HELLO + COUPON)
    assert book.rules["greeting"].status == "draft"
    assert not book.by_event
    rule = BOOK.rules["cart-rescue"]
    broken = replace(rule, steps=rule.steps[1:])
    book = Book.of({rule.name: broken}, BOOK.shop, BOOK.offers, BOOK.sources)
    assert not all(outcome.passed for outcome in run_examples(book))


def test_the_rule_that_the_readme_shows_is_one():
    shown = (RULES / "README.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    (outcome,) = run_examples(load_text(shown))
    assert outcome.passed, str(outcome)
