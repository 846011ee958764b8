"""Any value of an action may be computed or looked up; where it may not, the file is refused."""

import pytest

from rules.errors import RuleErrors
from rules.load import book_from_sources
from simulator.rule_tests import run_examples

RULE = """
rule: by-tier
owner: growth
status: live
when: {event: Coffee Ordered}
once_per: event
holdout: 0%%
do:
%s
examples:
  - name: gold
    customer: {member.tier: gold}
    given: [{at: 0m, event: Coffee Ordered, size: L, n: 3}]
    expect: [{at: 0m, %s}]
  - name: the others
    customer: {member.tier: silver}
    given: [{at: 0m, event: Coffee Ordered, size: S, n: 1}]
    expect: [{at: 0m, %s}]
"""
BY = "{by: member.tier, gold: %s, else: %s}"


@pytest.mark.parametrize(
    ("step", "gold", "others"),
    [
        (f"tag: {{add: {BY % ('vip', 'guest')}}}", "tag: vip", "tag: guest"),
        ('tag: {add: "= event.size", remove: old}', "tag: L", "tag: S"),
        (f"audience: {{remove: {BY % ('vip', 'guest')}}}", "audience: vip", "audience: guest"),
        (f"task: {{team: {BY % ('vip', 'desk')}, title: a}}", "task: vip", "task: desk"),
        (
            f"task: {{team: a, title: b, priority: {BY % ('high', 'low')}, due: {BY % ('1h', '2d')}}}",
            "task: a, priority: high, due: 60m",
            "task: a, priority: low, due: 48h",
        ),
        (
            f"points: {{multiply: {BY % (3, 2)}, for: {BY % ('2d', '1d')}}}",
            "points: x3, for: 48h",
            "points: x2, for: 1d",
        ),
        (
            f"points: {{add: {BY % (300, 100)}, reason: {BY % ('thanks', 'hello')}, expires: 1w}}",
            "points: thanks, expires: 7d",
            "points: hello, expires: 7d",
        ),
        (f"pause: {{purpose: marketing, for: {BY % ('1d', '2d')}}}", "pause: marketing, for: 24h",
         "pause: marketing, for: 2d"),
        ('recommend: {kind: trending, n: "= event.n"}\n    optional: true\n  - tag: {add: x}',
         "tag: x", "tag: x"),
        (f"coupon: {{offer: A, off: {BY % ('20%', '10%')}, over: 90, most: 9, valid: {BY % ('1d', '2d')}}}",
         "coupon: A, off: 20%, valid: 24h", "coupon: A, off: 10%, valid: 48h"),
        ("coupon: {offer: A, off: free shipping, valid: 2d}", "coupon: A, off: free shipping",
         "coupon: A, off: free shipping"),
        ("coupon: {offer: A, off: gift SKU-9, valid: 2d}", "coupon: A, off: gift SKU-9",
         "coupon: A, off: gift SKU-9"),
        ("notify: {via: [sms, push], template: a}", "notify: a, via: sms", "notify: a, via: sms"),
    ],
)  # fmt: skip
def test_what_a_value_may_be(step: str, gold: str, others: str):
    book = book_from_sources({"campaigns/r.yaml": RULE % (f"  - {step}", gold, others)})
    assert [outcome.why for outcome in run_examples(book)] == [(), ()]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("coupon: A, off: 10", "expected off 10, got 10%"),
        ("coupon: A, valid: 1d", "expected valid 1d, got 2d"),
        ("coupon: A, most: 8", "expected most 8, got 9"),
        ("coupon: A, via: push", "expected via push, got nothing"),
    ],
)
def test_an_example_that_expects_another_value_fails(asked: str, told: str):
    step = "  - coupon: {offer: A, off: 10%, over: 90, most: 9, valid: 2d}"
    book = book_from_sources({"campaigns/r.yaml": RULE % (step, asked, asked)})
    assert [told in outcome.why[0] for outcome in run_examples(book)] == [True, True]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ('tag: {add: ["= member.tier", b]}', "it is not computed here"),
        ("tag: {add: []}", "9:16: an empty list"),
        ("notify: {via: [], template: a}", "9:19: an empty list"),
        ("task: {team: a, title: b, priority: hihg}", "did you mean `high`?"),
        ('tag: {add: "= orders.count"}', "a text is needed here"),
        ("coupon: {offer: A, off: 5, valid: 1d}\n    if: []", "an empty list"),
    ],
)
def test_where_it_may_not_the_file_is_refused(step: str, told: str):
    with pytest.raises(RuleErrors) as found:
        book_from_sources({"campaigns/r.yaml": RULE % (f"  - {step}", "tag: x", "tag: x")})
    assert told in str(found.value)
