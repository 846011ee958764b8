"""Receipts: counted for the customer, and told as outcomes of the decision that they name."""

import math

import pytest

from features import catalog
from features.messages import FACTS
from tests.made_events import DAY, NOW, Shopper, event

ID = "0123456789abcdef0123456789"


def told(one):
    """The rows of `outcomes` that an event causes."""
    rows = []
    catalog.apply(Shopper().customer, one, lambda table, row: rows.append((table, row)))
    return [row for table, row in rows if table == "outcomes"]


@pytest.mark.parametrize(("name", "fact"), FACTS.items())
def test_a_receipt_is_an_outcome_of_its_decision(name, fact):
    one = event(name, decision_id=ID, action="notify:hello", channel="sms", reason="no such number")
    [row] = told(one)
    assert row == {
        "decision_id": ID, "action": "notify:hello", "fact": fact, "ref": one.message_id,
        "at": NOW, "rule": "", "channel": "sms", "reason": "no such number",
    }  # fmt: skip


def test_the_rule_is_told_where_the_receiver_gives_it_back():
    [row] = told(event("Message Clicked", decision_id=ID, rule="cart-rescue"))
    assert row["rule"] == "cart-rescue"
    [row] = told(event("Message Clicked", decision_id=ID, rule=7))
    assert row["rule"] == ""


@pytest.mark.parametrize("decision", [{}, {"decision_id": "x"}, {"decision_id": "来" * 26}])
def test_a_receipt_of_no_decision_of_ours_is_no_outcome(decision):
    assert told(event("Message Opened", **decision)) == []


def test_opens_and_clicks_are_features():
    shopper = Shopper()
    assert math.isnan(shopper["messages.days_since_opened"])
    shopper.see(event("Message Opened", NOW - 3 * DAY), event("Message Clicked", NOW - DAY))
    shopper.see(event("Message Delivered"), event("Message Opened", NOW - 2 * DAY))
    assert shopper["messages.opened"] == 2
    assert shopper["messages.clicked"] == 1
    assert shopper["messages.days_since_opened"] == 1
    other = Shopper().see(event("Message Opened"))
    catalog.merge(shopper.customer, other.customer)
    assert shopper["messages.opened"] == 3
    assert shopper["messages.days_since_opened"] == 0
