"""Tiers, labels, audiences, tickets: what is known of them and the rows that they are."""

from features import tags
from features.events import parse
from tests.made_events import DAY, NOW, Shopper, event


def identified(tier, at=NOW, name="tier", trusted=True):
    item = {"type": "identify", "userId": "1", "timestamp": at, "messageId": f"i{at}{tier}",
            "traits": {name: tier, "plan": "x"}}  # fmt: skip
    return parse(item, source="test", received_at=at, trusted=trusted)


def moves(shopper):
    return [
        (row["segment"], row["move"], row["seq"])
        for table, row in shopper.ledger
        if table == "segment_moves"
    ]


def test_the_shop_says_the_tier_and_each_change_is_a_move():
    shopper = Shopper().see(
        identified(" Gold "),
        identified("gold", NOW + DAY),
        identified("platinum", NOW + 2 * DAY, "member_tier"),
        identified("silver", NOW + DAY // 2),
    )
    assert (shopper["member.tier"], shopper["member.tier_before"]) == ("platinum", "gold")
    assert shopper.at("member.tier_since_days", NOW + 5 * DAY) == 3
    assert moves(shopper) == [
        *(("member.gold", 1, 1), ("member.gold", -1, 2), ("member.platinum", 1, 3)),
    ]
    shopper.see(identified(None, NOW + 3 * DAY))
    assert shopper["member.tier"] is None
    assert moves(shopper)[3:] == [("member.platinum", -1, 4)]


def test_a_browser_cannot_say_a_tier_and_what_is_no_text_is_none():
    one = identified("platinum", trusted=False)
    assert one.traits == {"plan": "x"}
    shopper = Shopper().see(one, identified(3, NOW + 1))
    assert shopper["member.tier"] is None


def test_he_joined_when_he_signed_up():
    shopper = Shopper().see(event("Signed Up", NOW - 2 * DAY))
    assert shopper["member.days_since_joined"] == 2


def test_labels_and_audiences_come_and_go():
    shopper = Shopper()
    held = shopper.customer.touch("tags")
    tags.change(held, "tag", ("vip", "new"), ("never",), NOW, shopper._emit)
    tags.change(held, "tag", ("vip",), ("new",), NOW + 1, shopper._emit)
    tags.change(held, "audience", ("shoes",), (), NOW + 2, shopper._emit)
    assert shopper["tags.labels"] == ["vip"]
    assert shopper["tags.audiences"] == ["shoes"]
    assert moves(shopper) == [
        *(("tag.vip", 1, 1), ("tag.new", 1, 2), ("tag.new", -1, 3), ("audience.shoes", 1, 4)),
    ]


def test_tickets_open_until_they_are_resolved():
    shopper = Shopper().see(
        event(
            "Ticket Opened", NOW - DAY, ticket_id="t1", topic="size", team="care", priority="high"
        ),
        event("Ticket Replied", NOW - DAY + 1, ticket_id="t1", staff_id="s", by_bot=True),
        event("Ticket Opened", ticket_id="t2", due_at=NOW + DAY),
        event("Ticket Replied"),
    )
    assert (shopper["tickets.open"], shopper["tickets.open_days"]) == (2, 1)
    shopper.see(
        event("Ticket Resolved", ticket_id="t1"),
        event("Survey Answered", ticket_id="t1", kind="csat", score=4),
        event("Survey Answered", ticket_id="t1", kind="nps", score=9),
        event("Ticket Reopened", NOW - 1, ticket_id="t1"),
    )
    assert (shopper["tickets.open"], shopper["tickets.last_score"]) == (1, 4)
    shopper.see(event("Ticket Reopened", NOW + 1, ticket_id="t1"))
    assert (shopper["tickets.open"], shopper["tickets.count"]) == (2, 2)
    rows = [row for table, row in shopper.ledger if table == "ticket_facts"]
    assert [row["fact"] for row in rows] == [
        *("opened", "replied", "opened", "resolved", "rated", "reopened", "reopened"),
    ]
    assert rows[1]["by_bot"] == 1
    assert rows[4]["score"] == 4
    assert rows[2]["due_at"] == NOW + DAY
