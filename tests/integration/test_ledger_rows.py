"""Every row that the engine writes about what a customer holds is one that its table can hold."""

from sinks.clickhouse import insert, migrate
from sinks.erase_tables import Whom, erase_rows
from tests.memory_engine import DAY, HOUR, START, MemoryEngine

RULE = """
rule: all
title: t
owner: o
status: live
purpose: service
when: {event: Product Added}
once_per: event
do:
  - coupon: {offer: SAVE, off: 30, valid: 1d}
  - points: {add: 100, expires: 1d, reason: r}
  - tag: {add: [vip]}
  - audience: {add: [shoes]}
"""


async def test_what_is_written_is_held_once_read_by_the_views_and_erased(clickhouse):
    world = MemoryEngine({"campaigns/all.yaml": RULE, "offers/SAVE.yaml": "offer: SAVE\n"})
    world.send(0, type="identify", userId="u", traits={"tier": "gold"})
    world.send(1, "Consent Updated", channels=["push"], userId="u")
    world.send(2, "Ticket Opened", ticket_id="t", due_at=START + DAY, userId="u")
    world.send(3, "Survey Answered", ticket_id="t", kind="csat", score=5, userId="u")
    world.send(HOUR, "Product Added", product_id="p", price=3, userId="u")
    world.send(2 * HOUR, "Points Redeemed", points=30, userId="u")
    world.tick(3 * DAY)
    world.send(3 * DAY, "Order Paid", order_id="o", total=5, userId="u")
    await world.run()
    migrate(clickhouse)
    facts: dict[str, list] = {}
    for entry in world.entries():
        for table, rows in entry.get("facts", {}).items():
            facts.setdefault(table, []).extend(rows)
    assert {"coupon_ledger", "points_ledger", "segment_moves", "ticket_facts", "customers"} <= set(
        facts
    )
    for _ in range(2):
        for table, rows in facts.items():
            insert(clickhouse, table, rows)

    def ask(sql):
        return clickhouse.query(sql).result_rows

    assert ask("SELECT cid, balance, earned, redeemed, expired FROM v_points") == [
        ("u:u", 0, 100, 30, 70)
    ]
    assert ask("SELECT segment, size FROM v_segment_size ORDER BY segment") == [
        *(("audience.shoes", 1), ("member.gold", 1), ("tag.vip", 1)),
    ]
    assert ask("SELECT csat FROM v_tickets") == [(5,)]
    assert ask("SELECT tier, consent, points FROM v_customers") == [
        ("gold", {"marketing": ["push"]}, 0)
    ]
    assert ask("SELECT fact, toInt32(face) FROM coupon_ledger FINAL") == [("expired", 30)]
    erased = erase_rows(clickhouse, [Whom(["u:u"], START + 9 * DAY)], b"secret")
    for table in facts:
        assert erased[table] > 0
        assert ask(f"SELECT count() FROM {table}") == [(0,)]
