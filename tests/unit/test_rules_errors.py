"""What is wrong in a rule file: every error at once with its place, the traps of YAML named."""

from pathlib import Path
from textwrap import dedent

import pytest

from rules.errors import RuleErrors
from rules.load import book_from_sources, check, load_text
from tests.rule_texts import GOOD

NOT_YET = frozenset(  # some names as if the engine did not do them, whatever it does by now
    (
        *("rule.budget", "rule.quiet_hours", "rule.digest", "name.arrived", "when.sequence"),
        *("when.crosses", "wait.until", "do.choose", "do.task", "coupon.to", "held.budget"),
    )
)


def errors(text: str) -> list[str]:
    with pytest.raises(RuleErrors) as found:
        load_text(dedent(text), "x.yaml", NOT_YET)
    return [str(error) for error in found.value.errors]


def only(text: str) -> str:
    (error,) = errors(text)
    return error


def with_line(line: str) -> str:
    return GOOD + line + "\n"


def test_a_rule_file_with_ten_errors_shows_ten_errors_each_at_its_place():
    found = errors(
        """\
        rule: Bad Name
        stauts: live
        when: {event: product added}
        if: cart.valu >= 200
        once_per: carts
        budget: {coupons: 5}
        limit: 1 per fortnight
        priority: high
        do:
          - wait: 30 minutes
          - notify: {via: [pusch], template: hello}
        """
    )
    assert [error.split(": ", 1)[0] for error in found] == [
        "x.yaml:1:7",
        "x.yaml:2:1",
        "x.yaml:3:15",
        "x.yaml:4:5",
        "x.yaml:5:11",
        "x.yaml:6:1",
        "x.yaml:7:8",
        "x.yaml:8:11",
        "x.yaml:10:11",
        "x.yaml:11:20",
    ]
    for error, word in zip(
        found,
        [
            "a rule's name is like",
            "did you mean `status`?",
            "did you mean `Product Added`?",
            "did you mean `cart.value`?",
            "did you mean `cart`?",
            "`budget` is part of the language but not built yet",
            "1 per 7d (rolling) or 1 per day",
            "a whole number from 0",
            "did you mean `30m`?",
            "did you mean `push`?",
        ],
        strict=True,
    ):
        assert word in error


def test_errors_of_all_files_come_together():
    with pytest.raises(RuleErrors) as found:
        book_from_sources(
            {
                "campaigns/a.yaml": "rule: a\nwhen: x\n",
                "campaigns/b.yaml": "rule: [\n",
                "offers/S.yaml": "offer: S\noff: 10 %\n",
                "shop.yaml": "timezone: Asia/Nowhere\nquiet_hours: {from: x}\n",
                "templates/hello.push.j2": "x",
                "segments/vip.yaml": "segment: vip\n",
            }
        )
    files = [error.file for error in found.value.errors]
    assert set(files) == {
        *("campaigns/a.yaml", "campaigns/b.yaml", "offers/S.yaml", "shop.yaml"),
        *("templates/hello.push.j2", "segments/vip.yaml"),
    }
    assert str(found.value).endswith(f"{len(files)} errors")


def test_a_broken_document_does_not_hide_the_next():
    found = errors("rule: [a\n---\nrule: b\nwhen: {event: X}\nonce_per: cart\ndo: []\nuntil: 3\n")
    assert any(error.startswith("x.yaml:7:1") for error in found)
    assert any("cannot be read as YAML" in error for error in found)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("if: !cart.value", "YAML tag"),
        ("if: *cart", "YAML alias"),
        ("title: &a x", "YAML anchor"),
        ("title: 大促 #618", "`#618` is a comment and would be lost"),
        ("if: cart.value ≥ 200", "write `>=` instead of the full-width `≥`"),
        ("title： x", "write `:` instead of the full-width `：`"),
        ("owner: a\nowner: b", "`owner` is here twice: first in line 8"),
        ("\towner: a", "a tab in the indentation"),
        ("\u3000owner: a", "a full-width space in the indentation"),
        ("on: {event: x}", "did you mean `when`?"),
        ("limit: %1", "written in quotes"),
        ('if: "a" == cart.id', "quoted as a whole"),
        ("title: a: b", "written in quotes"),
        ("if: [cart.value > 1, 2 > 1]", "on lines of their own"),
        ("title:", "`title` has no value"),
        ("quiet_hours: {from: x}", "not built yet"),
        ("digest: 1 per day", "not built yet"),
        ("limit: 一 per day", "is not a rate"),
        ("holdout: 0.1", "not a percentage like 10%"),
        ("purpose: Service", "did you mean `service`?"),
        ("active: {from: 2026-02-30}", "there is no such day"),
        ("active: {from: 2026-03-01, until: 2026-02-01}", "ends before it begins"),
        ("if: event.total > 3", "there is no event here"),
        ("if: arrived", "not built yet"),
        ("x: {a: [}", "cannot be read as YAML"),
        ("purpose: promo", "is not a purpose"),
    ],
)
def test_traps_are_named_with_what_to_write_instead(line: str, told: str):
    found = errors(with_line(line))
    assert any(told in error for error in found), found
    assert all(int(error.split(":")[1]) >= 8 for error in found), found


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("{event: Product Added, if: f(x, y) >= 3}", "a line of its own"),
        ("{event: Product Added, if: cart.value >= 3}", "a line of its own"),
        ("{event: Product Added, count: 3}", "count and within go together"),
        ("{event: Product Added, inactive: 3d}", "exactly one of event, inactive"),
        ("{event: Prodct Added}", "did you mean `Product Added`?"),
        ("{inactive: 3d, count: 3, within: 1d}", "goes with `event`"),
        ("{inactive: 3d}", "a silence is about no"),
        ("{sequence: []}", "`sequence` is part of the language but not built yet"),
        ("{crosses: x}", "`crosses` is part of the language but not built yet"),
        ("{evnt: x}", "did you mean `event`?"),
        ("Product Added", "when is a mapping"),
    ],
)
def test_triggers_say_what_is_wrong(when: str, told: str):
    found = errors(GOOD.replace("{event: Product Added}", when))
    assert any(told in error for error in found), found


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("- wait: 3d", "the last step is a wait"),
        ("- wait: {since_last: [X]}", "wait needs `for`"),
        ("- wait: {until: x}", "`until` is part of the language but not built yet"),
        ("- choose: []", "`choose` is part of the language but not built yet"),
        ("- task: {team: x}", "`task` is part of the language but not built yet"),
        ("- stop: true\n  - notify: {via: [push], template: b}", "nothing after `stop: true`"),
        ("- coupon: {off: 10%, valid: 1d}", "coupon needs `offer`"),
        ("- coupon: {offer: A, valid: 1d}", "coupon needs `off`"),
        ("- coupon: {offer: A, off: 5}", "coupon needs `valid`"),
        ("- coupon: {offer: A, off: 110%, valid: 1d}", "more than 100%"),
        ("- coupon: {offer: A, off: 30 USD, valid: 1d}", "gives no `exchange` for USD"),
        ("- coupon: {offer: A, off: 5, over: 9 USD, valid: 1d}", "currency is CNY"),
        ("- coupon: {offer: A, off: {by: cart.id, a: 5, else: 5%}, valid: 1d}", "mixes money"),
        ("- coupon: {offer: A, off: {by: cart.id, a: 5}, valid: 1d}", "needs `else`"),
        ("- coupon: {offer: A, off: {by: cart.value, a: 5, else: 3}, valid: 1d}", "`by` takes"),
        ('- coupon: {offer: A, off: "= cart.id", valid: 1d}', "a number is needed"),
        ('- coupon: {offer: A, off: "= cart.vale", valid: 1d}', "did you mean `cart.value`?"),
        ("- coupon: {offer: A, off: 5, valid: 1d, to: referrer}", "`to` is part of the language"),
        ("- notify: {via: [push], template: hello}", "two actions of one decision are named"),
        ("- notify: {via: [push, push], template: b}", "twice"),
        ("- notify: {via: [push], template: b}\n    if: cart.vlaue > 3", "did you mean"),
        ("- {notify: {via: [push], template: b}, wait: 3d}", "a step does one thing"),
        ("- hello", "a step is a mapping"),
        ("- as: x", "a step needs one of"),
    ],
)
def test_steps_say_what_is_wrong(step: str, told: str):
    found = errors(GOOD + "  " + step + "\n")
    assert any(told in error for error in found), found


@pytest.mark.parametrize(
    ("example", "told"),
    [
        ("{given: [], expects: []}", "did you mean `expect`?"),
        ("{given: [{event: Product Added}], expect: []}", "needs `at`"),
        ("{given: [{at: 1m, event: Product Add}], expect: []}", "did you mean"),
        ("{given: [{at: 1m, event: X, price: cheap}], expect: []}", "expected a number"),
        ("{given: [], expect: [{at: 1m}]}", "either held: REASON or"),
        ("{given: [], expect: [{at: 1m, held: limits}]}", "did you mean `limit`?"),
        ("{given: [], expect: [{at: 1m, held: budget}]}", "not built yet"),
        ("{given: [], expect: [], customer: {cart.vlaue: 3}}", "did you mean `cart.value`?"),
        ("{given: [], expect: [], customer: {cart.value: high}}", "is a number"),
        ("{given: [], expect: [], arm: control}", "is not an arm"),
    ],
)
def test_examples_say_what_is_wrong(example: str, told: str):
    found = errors(f"{GOOD}examples:\n  - {example}\n")
    assert any(told in error for error in found), found


def test_files_that_cannot_be_read_are_told(tmp_path: Path):
    assert "no such file" in check(tmp_path / "nothing")[0].message
    (tmp_path / "a.yaml").write_bytes(b"rule: \xff\n")
    (tmp_path / "b.yml").write_text(GOOD)
    (tmp_path / "c.yaml").write_text("\ufeff" + GOOD.replace("\n", "\r\n"))
    (tmp_path / "README.md").write_text("not a rule")
    told = [str(error) for error in check(tmp_path)]
    assert len(told) == 2
    assert "not UTF-8" in told[0]
    assert "name it b.yaml" in told[1]


def test_two_rules_of_one_name_are_told_with_the_first_place():
    with pytest.raises(RuleErrors, match=r"another rule named `nudge`: a.yaml:2"):
        book_from_sources({"a.yaml": GOOD, "b.yaml": GOOD})


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5_000,
        "{a: " * 500,
        "a: \x00b",
        "%YAML 1.1\n---\na: 1\n",
        "? [1, 2]\n: 3\n",
        "x" * 300_000,
        "- " * 3_000,
        "a\n" * 30_000,
        "[]",
        "3",
        "- rule: a",
    ],
)
def test_hostile_or_senseless_files_are_refused_not_crashed_on(text: str):
    assert errors(text)


def test_errors_in_an_expression_point_into_it():
    assert only(with_line('if: cart.value >= 200 and cart.vale == "é"')).startswith("x.yaml:8:27")
    assert only(with_line("if: '   cart.vale > 3'")).startswith("x.yaml:8:9")
    assert only(with_line("if:\n  - cart.value > 1\n  - cart.vale > 1")).startswith("x.yaml:10:5")
