"""A condition taken apart for people: each clause, its value, and the nearest change."""

import pytest

from engine.explain import clauses, scope_of
from engine.journal import REGISTRY
from features.customer import Customer
from rules.load import load_text
from rules.values import Context

RULE = """
rule: asked
when: {{event: Product Added}}
if:
  - {clause}
once_per: customer
do: [{{notify: {{via: [push], template: x}}}}]
"""
KNOWN = {"cart.value": 180.0, "cart.items": 2.0, "orders.count": 0.0}


def said(clause: str) -> list[str]:
    book = load_text(RULE.format(clause=clause))
    rule = book.rules["asked"]
    nobody = Customer.decode("u:a", None, REGISTRY)
    context = Context(nobody, None, 1_767_571_200_000, KNOWN)
    return [str(one) for one in clauses(rule.condition, context, scope_of(book, rule, event=False))]


@pytest.mark.parametrize(
    ("clause", "words"),
    [
        ("cart.value >= 200", "`cart.value >= 200`: no, cart.value is 180; at 200 it would hold"),
        ("200 < cart.value", "`200 < cart.value`: no, cart.value is 180; above 200 it would hold"),
        ("cart.value >= 100", "`cart.value >= 100`: yes, cart.value is 180"),
        (
            "orders.average > 5",
            "`orders.average > 5`: unknown, orders.average is not known; above 5 it would hold",
        ),
        (
            "cart.items > 3 or orders.count >= 1",
            (
                "`cart.items > 3 or orders.count >= 1`: no, cart.items is 2, orders.count is 0; "
                "with cart.items above 3 or orders.count at 1 it would hold"
            ),
        ),
        ("not cart.items == 2", "`not cart.items == 2`: no, cart.items is 2"),
    ],
)
def test_a_clause_says_what_it_read_and_what_would_do(clause, words):
    assert said(clause) == [words]


def test_what_and_joins_is_told_one_by_one():
    found = said("cart.value >= 100 and (cart.items > 5 and orders.count == 0)")
    assert [one.partition("`:")[2].split(",")[0].strip() for one in found] == ["yes", "no", "yes"]
