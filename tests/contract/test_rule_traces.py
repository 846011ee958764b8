"""A rule's example that fails says which clause, which gate and which value, not only what."""

import pytest

from rules.load import load_text
from simulator.rule_tests import run_examples
from tests.contract.test_campaigns import COUPON, GIVEN, GREETING, HELLO, told


@pytest.mark.parametrize(
    ("example", "why"),
    [
        (
            GIVEN.replace("[push]", "[sms]") + HELLO,
            "the message goes by push, and he agreed to sms",
        ),
        (
            GIVEN.replace("Signed Up", "Signed In") + HELLO,
            "event Signed In",
        ),
    ],
)
def test_a_failure_says_which_gate_and_which_value(example: str, why: str):
    assert why in told(example)


def test_a_failure_says_which_clause_kept_the_rule_from_beginning():
    rule = GREETING.replace("once_per: customer", "if: cart.value >= 400\nonce_per: customer")
    (outcome,) = run_examples(load_text(rule + GIVEN + HELLO))
    clause = "`cart.value >= 400`: no, cart.value is 300; at 400 it would hold"
    assert f"the rule does not begin: {clause}" in str(outcome)


def test_a_failure_says_what_the_condition_had_become():
    rule = GREETING.replace("once_per: customer", "if: cart.value >= 200\nonce_per: customer")
    events = "[{at: 0m, event: Product Added, product_id: p, price: 300, quantity: 1}, "
    given = GIVEN.replace("cart.value: 300, cart.items: 1, ", "").replace("[{", f"{events}{{")
    emptied = given.replace("Signed Up}]", "Signed Up}, {at: 1h, event: Cart Emptied}]")
    (outcome,) = run_examples(load_text(rule + emptied + HELLO + COUPON))
    assert "because `cart.value >= 200`: no, cart.value is 0; at 200 it would hold" in str(outcome)
