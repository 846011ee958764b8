"""Values and texts read the event that began the rule, whenever the decision comes."""

import pytest

from rules.errors import RuleErrors
from rules.load import book_from_sources
from rules.templates import nested
from tests.memory_engine import DAY, HOUR, START, MemoryEngine

TOP = """
rule: coffee
owner: crm
status: live
when: {event: Coffee Ordered}
once_per: event
holdout: 0%
"""
SILENT = TOP.replace("{event: Coffee Ordered}\nonce_per: event", "{inactive: 3d}\nonce_per: lapse")
SAID = TOP + "do:\n  - notify: {via: push, template: cup}\n"
QUIET = 'timezone: UTC\nquiet_hours: {from: "22:00", to: "08:00"}\n'
CUP = {
    "templates/cup.zh.push.j2": "{{ event.size }}咖啡 {{ event.price | money }} 元",
    "templates/cup.en.push.j2": "{{ event.size }}",
}


async def actions(rule: str, at: int = 10 * HOUR, **event) -> list[tuple[int, dict]]:
    world = MemoryEngine({"campaigns/r.yaml": rule, "shop.yaml": QUIET, **CUP})
    world.send(at, "Coffee Ordered", userId="u", **event)
    world.tick(3 * DAY)
    await world.run()
    return [(row["at"] - START, one) for row in world.decisions() for one in row["actions"]]


@pytest.mark.parametrize("at", [10 * HOUR, 23 * HOUR])
async def test_a_text_reads_the_event_though_the_decision_waits_for_the_morning(at: int):
    [(then, row)] = await actions(SAID, at, size="大杯", price=19.5, secret="not read, not kept")
    assert then == (at if at == 10 * HOUR else DAY + 8 * HOUR)
    assert row["reads"] == {"event.size": "大杯", "event.price": 19.5}
    texts = book_from_sources({"campaigns/r.yaml": SAID, **CUP}).templates
    assert texts.render("cup", "push", "zh", nested(row["reads"])) == "大杯咖啡 19.50 元"


async def test_values_read_it_before_and_after_a_wait():
    rule = TOP + (
        'do:\n  - webhook: {name: crm, body: {size: "= event.size", cups: "= len(event.cups)"}}\n'
        '  - wait: 1d\n  - points: {add: "= event.price * 2"}\n'
    )
    found = await actions(rule, size="S", price=20, cups=["a", "b"])
    assert [(at, row.get("body") or row["points"]) for at, row in found] == [
        (10 * HOUR, {"size": "S", "cups": 2}),
        (10 * HOUR + DAY, 40),
    ]


async def test_what_is_large_is_not_kept():
    [(_, row)] = await actions(SAID, size="x" * 5_000, price=20)
    assert row["reads"] == {"event.price": 20}


@pytest.mark.parametrize(
    "rule",
    [
        SILENT + "do:\n  - notify: {via: push, template: cup}\n",
        SILENT + 'do:\n  - points: {add: "= event.price"}\n',
        SAID.replace("do:", "if: event.price > 3\ndo:"),
        SAID.replace("do:\n  - notify", "do:\n  - if: event.price > 3\n    notify"),
    ],
)
def test_where_no_event_is_at_hand_it_is_refused(rule: str):
    with pytest.raises(RuleErrors, match=r"event\.\w+"):
        book_from_sources({"campaigns/r.yaml": rule, **CUP})
