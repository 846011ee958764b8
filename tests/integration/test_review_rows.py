"""Reviews, surveys and merchants in the tables: held once, read by the views, erased with words told."""

from engine.records import LETTER
from sinks.archive import _emitted
from sinks.clickhouse import insert, migrate
from sinks.erase_tables import Whom, erase_rows
from sinks.rows import decision_row
from tests.memory_engine import DAY, HOUR, START, MemoryEngine
from tests.rule_texts import SPIKES


async def happened() -> MemoryEngine:
    world = MemoryEngine(SPIKES)
    m1 = {"merchant_id": "m1", "product_id": "p1"}
    for number in range(6):
        text = f"{number}号到货破损，电话13812345678"
        world.send(
            number * HOUR, "Product Reviewed", rating=1, text=text, userId=f"u{number}", **m1
        )
        await world.run()
    world.send(DAY, "Product Reviewed", rating=5, text="很好", userId="u9", **m1)
    world.send(DAY, "Product Reviewed", rating=4, text="不错", userId="u9", merchant_id="m2")
    for who, score in (("u1", 10), ("u2", 9), ("u3", 8), ("u4", 3)):
        world.send(DAY, "Survey Answered", kind="nps", score=score, userId=who)
    world.send(DAY + 1, "Survey Answered", kind="nps", score=2, userId="u1")
    world.send(DAY, "Survey Answered", kind="csat", score=4, merchant_id="m1", userId="u1")
    world.send(
        DAY, "Order Paid", order_id="o1", total=20, userId="u1", promised_ship_at=START, **m1
    )
    world.send(
        2 * DAY, "Shipment Status Updated", order_id="o1", status="shipped", userId="u1", **m1
    )
    world.send(3 * DAY, "Order Refunded", order_id="o1", refund_id="r", amount=5, userId="u1", **m1)
    ticket = {"ticket_id": "t1", "merchant_id": "m1", "userId": "u1"}
    world.send(DAY, "Ticket Opened", due_at=START + 2 * DAY, **ticket)
    world.send(3 * DAY, "Ticket Resolved", **ticket)
    await world.run()
    return world


def written(world: MemoryEngine, clickhouse) -> None:
    migrate(clickhouse)
    rows: dict[str, list] = {"decisions": [], "events": []}
    for entry in world.entries():
        for table, facts in entry.get("facts", {}).items():
            rows.setdefault(table, []).extend(facts)
        rows["decisions"] += [decision_row(0, row) for row in entry.get("decisions", ())]
    for shard, log in enumerate(world.logs):
        for record in log:
            if record.key == LETTER:
                rows["events"] += _emitted(shard, record)
    for _ in range(2):
        for table, found in rows.items():
            insert(clickhouse, table, found)


async def test_what_was_said_is_held_once_read_by_the_views_and_erased(clickhouse):
    world = await happened()
    written(world, clickhouse)

    def ask(sql):
        return clickhouse.query(sql).result_rows

    assert ask("SELECT count(), countIf(complaint = 1) FROM v_reviews") == [(8, 6)]
    assert ask("SELECT text, topics FROM v_reviews WHERE cid = 'u:u0'") == [
        ("0号到货破损，电话***", ["damaged"])
    ]
    assert ask("SELECT topic, complaints FROM v_complaints") == [("damaged", 6)]
    assert ask("SELECT answers, promoters, detractors, nps FROM v_nps") == [(4, 1, 2, -25)]
    assert ask("SELECT merchant_id, answers, csat, average FROM v_csat") == [("m1", 1, 100, 4)]
    columns = (
        "orders, net, refunded_orders, late_shipments, reviews, round(rating, 2), complaints,"
        " first_topic, tickets, late_tickets, complaint_spikes"
    )
    assert ask(f"SELECT {columns} FROM v_merchants WHERE merchant_id = 'm1'") == [
        (1, 15.0, 1, 1, 7, 1.57, 6, "damaged", 1, 1, 1)
    ]
    assert ask("SELECT rating, complaint_rate FROM v_merchants WHERE merchant_id = 'm2'") == [
        (4, 0)
    ]

    erased = erase_rows(clickhouse, [Whom(["u:u3"], START + 9 * DAY)], b"secret-of-the-tests")
    names = ("review_facts", "survey_facts", "events", "decisions")
    assert all(erased[name] > 0 for name in names)
    for table, column in (
        ("events", "properties"),
        ("decisions", "actions"),
        ("review_facts", "text"),
    ):
        assert ask(f"SELECT count() FROM {table} WHERE position({column}, '3号到货') > 0") == [(0,)]
