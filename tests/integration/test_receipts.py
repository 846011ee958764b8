"""A receipt on its whole way: an event, decided by the real pipeline, a row of `outcomes`."""

import orjson

from sinks.clickhouse import insert, migrate
from sinks.outbox import Entry, EntryId
from sinks.rows import committed, rows_of
from tests.memory_engine import MemoryEngine

ID = "0123456789abcdef0123456789"


async def test_receipts_are_rows_of_outcomes_once_each(clickhouse):
    engine = MemoryEngine(shards=1)
    for number, name in enumerate(("Delivered", "Opened", "Opened", "Clicked", "Bounced")):
        engine.send(
            number * 1000, f"Message {name}", userId="u1", decision_id=ID, action="notify:hello",
            channel="Email", rule="cart-rescue", reason="no such mailbox" * (name == "Bounced"),
        )  # fmt: skip
    engine.send(9000, "Message Opened", userId="u1", decision_id="none of ours")
    await engine.run()
    rows = []
    for name, body in engine.store.shard(0).outbox:
        entry = Entry(0, EntryId.parse(name.encode()), body)
        assert orjson.loads(body)["to"]
        rows += rows_of(0, committed(entry)).get("outcomes", [])
    migrate(clickhouse)
    for _ in range(2):  # a repeat of the relay's adds nothing
        insert(clickhouse, "outcomes", rows)
    found = clickhouse.query(
        "SELECT fact, count(), any(cid), any(rule), any(channel), any(reason)"
        " FROM outcomes FINAL GROUP BY fact ORDER BY fact"
    ).result_rows
    assert found == [
        ("bounced", 1, "u:u1", "cart-rescue", "email", "no such mailbox"),
        ("clicked", 1, "u:u1", "cart-rescue", "email", ""),
        ("delivered", 1, "u:u1", "cart-rescue", "email", ""),
        ("opened", 2, "u:u1", "cart-rescue", "email", ""),
    ]
