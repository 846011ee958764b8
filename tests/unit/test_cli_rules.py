"""`laike rules test` takes rules by their names, a folder, or a file of one."""

import json
from pathlib import Path

import pytest
import typer

from api.cli_rules import test as tried
from rules.errors import RuleErrors
from rules.load import book_from_sources, load_text

RULES = Path(__file__).parents[2] / "rules"


def told(capsys, *names: str) -> int:
    assert tried(RULES, list(names), True) == 0
    return json.loads(capsys.readouterr().out)["examples"]


def test_rules_are_named_by_name_by_file_and_by_folder(capsys):
    one = told(capsys, "win-back")
    assert one == told(capsys, str(RULES / "campaigns" / "win-back.yaml"))
    assert told(capsys, "win-back", "birthday") > one
    assert told(capsys) == told(capsys, str(RULES)) > one


def test_a_name_that_no_rule_has_is_told():
    with pytest.raises(typer.BadParameter, match="did you mean `win-back`"):
        tried(RULES, ["win-bak"], True)


def test_an_amount_in_a_currency_without_exchange_says_so():
    rule = "rule: r\nwhen: {event: Order Paid}\nonce_per: order\ndo:\n"
    with pytest.raises(RuleErrors, match="gives no `exchange` for USD"):
        load_text(f"{rule}  - coupon: {{offer: A, off: 30 USD, valid: 1d}}\n")


def test_budgets_are_in_any_currency_that_the_shop_exchanges():
    rule = "rule: r\nwhen: {event: Order Paid}\nonce_per: order\nbudget: {money: 100 USD per day}\n"
    act = "do:\n  - coupon: {offer: A, off: 30 USD, valid: 1d}\n"
    shop = "exchange: {USD: 7}\nbudget: {money: 9.50 USD per week}\n"
    quiet = 'quiet_hours: {from: "22:00", to: 8:30}\n'
    offer = "offer: A\nbudget: {money: 1 USD per month}\n"
    files = {"campaigns/r.yaml": rule + act, "shop.yaml": shop + quiet, "offers/A.yaml": offer}
    book = book_from_sources(files)
    owners = (book.rules["r"], book.offers["A"], book.shop)
    assert [one.budget.money.count for one in owners] == [70_000, 700, 6_650]
    assert (book.shop.quiet.begins, book.shop.quiet.ends) == (1_320, 510)
