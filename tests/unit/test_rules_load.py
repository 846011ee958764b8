"""The loader: every error at once with its place, text stays text, the traps of YAML named."""

from pathlib import Path
from textwrap import dedent

import pytest

from rules.book import Book
from rules.errors import RuleErrors
from rules.load import book_from_sources, check, load_book, load_text
from rules.model import Act, Coupon, EventTrigger, InactiveTrigger, Notify, Rate, Stop, Wait

GOOD = """
rule: nudge
status: live
when: {event: Product Added}
once_per: cart
do:
  - notify: {via: [push], template: hello}
"""

NOT_YET = frozenset(  # some names as if the engine did not do them, whatever it does by now
    (
        *("rule.budget", "rule.quiet_hours", "rule.digest", "name.arrived", "when.sequence"),
        *("when.crosses", "wait.until", "do.choose", "do.task", "coupon.to", "held.budget"),
    )
)


def load(text: str, **files: str) -> Book:
    return book_from_sources({"nudge.yaml": dedent(text), **files})


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


def test_the_whole_of_a_rule_is_typed():
    book = load(
        """\
        rule: whole
        title: 标题（全角没关系）
        owner: "007"
        status: live
        run: 2026-11-11
        active: {from: 2026-11-01, until: 2026-11-11 20:00 +08:00}
        purpose: service
        priority: 70
        when:
          event: [Order Paid, My Own Event]
          if: event.total > 99.5
          count: 3
          within: 24h
        if:
          - cart.value >= 200
          - orders.count < 3
        once_per: month
        stop_on:
          - event: Order Cancelled
            if: event.reason == "x"
          - Order Completed
        limit: {customer: 2 per 7d}
        holdout: 25%
        late: 2h
        do:
          - wait: {for: 30m, since_last: [Cart Viewed]}
          - coupon: {offer: SAVE, off: 10%, over: 99.90, most: 50, valid: 48h}
            as: first
          - notify: {via: [push, sms], template: hello, with: {name: "= cart.value * 2", x: 007}}
            if: orders.count == 0
            optional: true
          - wait: {event: Order Paid, for: 3d}
          - stop: true
            if: orders.count > 0
          - coupon:
              offer: MORE
              off: {by: cart.id, a: 5, else: "= min(cart.value * 0.1, 20)"}
              valid: 1w
        """
    )
    rule = book.rules["whole"]
    assert (rule.owner, rule.run, rule.purpose, rule.priority) == (
        "007",
        "2026-11-11",
        "service",
        70,
    )
    assert rule.active_until - rule.active_from == (10 * 24 + 20) * 3_600_000
    assert rule.trigger == EventTrigger(
        frozenset({"Order Paid", "Order Completed", "My Own Event"}),
        rule.trigger.condition,
        3,
        86_400_000,
    )
    assert rule.limits == (Rate(2, 7 * 86_400_000),)
    assert (rule.holdout, rule.late_ms, rule.once_per) == (0.25, 7_200_000, "month")
    assert {(stop.event, stop.condition is not None) for stop in rule.stop_on} == {
        *(("Order Cancelled", True), ("Order Completed", False), ("Order Paid", False)),
    }
    wait, first, again, stop, last = rule.steps
    assert wait == Wait(1_800_000, frozenset({"Cart Viewed"}))
    assert isinstance(first, Act)
    coupon, notify = first.actions
    assert isinstance(coupon, Coupon)
    assert isinstance(notify, Notify)
    assert (coupon.name, coupon.off.get(None), coupon.off_kind) == ("first", 10, "percent")
    assert (coupon.over.get(None), coupon.most.get(None)) == (99.9, 50)
    assert notify.with_["x"].get(None) == "007"
    assert (notify.via, notify.optional) == (("push", "sms"), True)
    assert (again.event, again.events) == ("Order Paid", {"Order Paid", "Order Completed"})
    assert isinstance(stop, Stop)
    assert (last.step, last.actions[0].name) == ("2", "coupon:MORE")


def test_defaults():
    rule = load(GOOD, **{"shop.yaml": "holdout: {marketing: 5%}"}).rules["nudge"]
    assert (rule.status, rule.run, rule.purpose, rule.priority) == ("live", "1", "marketing", 50)
    assert (rule.holdout, rule.late_ms, rule.title) == (0.05, 3_600_000, "nudge")
    assert load("purpose: service" + GOOD).rules["nudge"].holdout == 0


def test_an_absence_is_looked_up_by_a_feature():
    rule = load(
        """\
        rule: back
        when:
          inactive: {by: seen.device, phone: 30d, else: 60d}
          of: Order Completed
        once_per: lapse
        do:
          - notify: {via: push, template: hello}
        """
    ).rules["back"]
    assert isinstance(rule.trigger, InactiveTrigger)
    assert rule.trigger.of == {"Order Completed", "Order Paid"}
    assert rule.status == "draft"


def test_the_index_holds_what_can_fire_and_what_can_be_touched():
    draft = GOOD.replace("live", "draft").replace("nudge", "later")
    paused = GOOD.replace("live", "paused").replace("nudge", "held") + "stop_on: [Cart Emptied]\n"
    shadow = GOOD.replace("live", "shadow").replace("nudge", "shade") + "priority: 90\n"
    book = load(f"{GOOD}---{draft}---{paused}---{shadow}")
    assert [rule.name for rule in book.by_event["Product Added"]] == ["shade", "nudge"]
    assert book.watched == {"Cart Emptied"}
    assert sorted(book.rules) == ["held", "later", "nudge", "shade"]


def test_the_hash_is_that_of_the_sources_and_survives_a_round_trip(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(GOOD)
    book = load_book(tmp_path)
    assert book_from_sources(book.sources).hash == book.hash
    (tmp_path / "a.yaml").write_text(GOOD + "# a word\n")
    assert load_book(tmp_path).hash != book.hash


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


def test_a_slip_of_a_name_is_legal_in_quotes():
    book = load(GOOD.replace("Product Added", '"Products Added"'))
    assert list(book.by_event) == ["Products Added"]


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
        ("- coupon: {offer: A, off: 30 USD, valid: 1d}", "not what a coupon takes off"),
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


def test_examples_are_typed_by_the_catalog():
    rule = load(
        GOOD
        + """
examples:
  - start: 2026-11-11 08:00
    customer: {cart.value: 3, consent.marketing: [push], seen.device: 7, visits.active: true}
    given:
      - {at: 2m, event: Order Paid, order_id: 007, total: 9.50, promised_ship_at: 2d, own: 5}
    expect: [{at: 3d, coupon: X, notify: [a, b], off: 10%}]
""".replace("\n\n", "\n")
    ).rules["nudge"]
    (example,) = rule.examples
    assert example.customer == {
        "cart.value": 3.0,
        "consent.marketing": ["push"],
        "seen.device": "7",
        "visits.active": True,
    }
    at, event = example.given[0]
    assert at == 120_000
    assert event == {
        "event": "Order Paid",
        "order_id": "007",
        "total": 9.5,
        "promised_ship_at": example.start + 172_800_000,
        "own": 5,
    }
    assert example.expect[0].actions == (("coupon", "X"), ("notify", "a"), ("notify", "b"))
    assert example.expect[0].fields == {"off": "10%"}


def test_offers_fill_in_and_templates_must_be_there():
    rule = GOOD.replace("hello}", "hello}\n  - coupon: {offer: SAVE}")
    files = {
        "campaigns/nudge.yaml": rule,
        "offers/SAVE.yaml": "offer: SAVE\noff: free shipping\nvalid: 3d\nover: 50\n",
        "templates/hello.zh.push.j2": "你好",
        "shop.yaml": "languages: [zh]\n",
    }
    (act,) = book_from_sources(files).rules["nudge"].steps
    coupon = act.actions[1]
    assert (coupon.off_kind, coupon.valid_ms, coupon.over.get(None)) == (
        "free_shipping",
        3 * 86_400_000,
        50,
    )
    files["campaigns/nudge.yaml"] = rule.replace("SAVE", "SAV").replace("[push]", "[push, sms]")
    with pytest.raises(RuleErrors) as found:
        book_from_sources(files)
    told = str(found.value)
    assert "there is no offer `SAV` in offers/: did you mean `SAVE`?" in told
    assert "templates/hello.zh.sms.j2 is missing" in told


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


def test_an_empty_file_is_no_rule_and_no_error():
    assert not load_text("# nothing yet\n").rules


def test_errors_in_an_expression_point_into_it():
    assert only(with_line('if: cart.value >= 200 and cart.vale == "é"')).startswith("x.yaml:8:27")
    assert only(with_line("if: '   cart.vale > 3'")).startswith("x.yaml:8:9")
    assert only(with_line("if:\n  - cart.value > 1\n  - cart.vale > 1")).startswith("x.yaml:10:5")
