"""A budget of money and percentages without a ceiling."""

import pytest

from rules.errors import RuleErrors
from rules.load import book_from_sources

RULE = """
rule: gift
title: t
owner: o
when: {event: Product Viewed}
once_per: day
%s
do:
  - coupon: {offer: SAVE, off: %s, valid: 48h}
"""
MONEY = "budget: {money: 100 per day}"
OFFER = "offer: SAVE\ntitle: t\n%s\n"


@pytest.mark.parametrize(
    ("files", "whose"),
    [
        ({"campaigns/r.yaml": RULE % (MONEY, "10%")}, "the rule's"),
        ({"campaigns/r.yaml": RULE % ("", "10%"), "shop.yaml": MONEY}, "the shop's"),
        (
            {"campaigns/r.yaml": RULE % ("", "10%"), "offers/SAVE.yaml": OFFER % MONEY},
            "the offer SAVE's",
        ),
    ],
)
def test_a_percentage_out_of_a_budget_of_money_needs_a_ceiling(files, whose):
    with pytest.raises(RuleErrors, match=f"{whose} budget of money cannot say") as wrong:
        book_from_sources(files)
    assert "write `most: 50`" in str(wrong.value)


def test_with_a_ceiling_or_without_money_it_is_right():
    assert book_from_sources({"campaigns/r.yaml": RULE % (MONEY, "10%, most: 50")}).rules
    assert book_from_sources({"campaigns/r.yaml": RULE % (MONEY, "10")}).rules
    number = "budget: {coupons: 5 per day}"
    assert book_from_sources({"campaigns/r.yaml": RULE % (number, "10%")}).rules
    offer = {"offers/SAVE.yaml": OFFER % "most: 20", "campaigns/r.yaml": RULE % (MONEY, "10%")}
    assert book_from_sources(offer).rules
