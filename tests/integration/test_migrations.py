"""The tables: their history, every insert twice, and every view with rows in it."""

import shutil
import threading

import pytest

from sinks import migrations as history
from sinks.clickhouse import BadRowsError, connect, insert, migrate
from sinks.migrations import FOLDER, MigrationError

DAY = 86_400_000
T0 = 1_780_272_000_000  # 2026-06-01 00:00 UTC
TABLES = {
    "events", "identities", "order_facts", "decisions", "outcomes",
    "coupon_ledger", "rules", "model_metrics", "quarantine",
    "points_ledger", "segment_moves", "ticket_facts", "customers",
    "review_facts", "survey_facts",
}  # fmt: skip
VIEWS = {
    "v_events": "",
    "v_order_facts": "",
    "v_orders": "",
    "v_rfm": "(day = '2026-07-01')",
    "v_arms": "",
    "v_lift": "(days = 7, until = '2026-07-01')",
    "v_coupon_cost": "",
    "v_customers": "",
    "v_points": "",
    "v_segment_size": "",
    "v_tickets": "",
    "v_outcomes": "",
    "v_messages": "",
    "v_sends": "",
    "v_coupons": "",
    "v_redemptions": "",
    "v_conversions": "(days = 7)",
    "v_last_touch": "(days = 7)",
    "v_revenue": "(days = 7)",
    "v_reviews": "",
    "v_complaints": "",
    "v_nps": "",
    "v_csat": "",
    "v_merchants": "",
}


def decision(n, arm):
    return {
        "rule": "cart-rescue", "at": T0 + n, "decision_id": f"{n:026}", "cid": f"u:{n}", "run": "1",
        "instance": "i", "step": "1", "version": "abc", "purpose": "marketing", "result": "act", "held": "",
        "arm": arm, "split": "", "propensity": 0.9, "model_version": "", "values": {"cart.value": "12.50"},
        "actions": "[]", "latency_ms": 12, "shard": 3, "log_offset": n,
    }  # fmt: skip


SAMPLES = {
    "events": [
        {"event": "Product Viewed", "cid": "a:x", "at": T0, "message_id": "m1", "source": "web", "received_at": T0 + 5,
         "price": 12.345, "quantity": 2, "type": "track", "properties": '{"名":"二"}', "context": "{}", "log_time": T0 + 9,
         "shard": 1, "log_offset": 2**63},
        {"event": "Cart Viewed", "cid": "u:2", "at": T0 + 1, "message_id": "m2", "received_at": T0, "log_time": T0, "price": None},
    ],
    "identities": [{"alias": "a:x", "cid": "u:1", "linked_at": T0, "version": 1}],
    "order_facts": [
        {"order_id": "o1", "fact": "paid", "line": 0, "at": T0 + DAY, "message_id": "o1", "cid": "a:x", "quantity": 1,
         "amount": 99.9, "cost": 50, "coupon_id": "c1", "promised_at": T0 + 3 * DAY, "version": 1},
        {"order_id": "o1", "fact": "refunded", "line": 0, "at": T0 + 2 * DAY, "message_id": "r1", "cid": "u:1", "amount": -9.9,
         "promised_at": None, "version": 2},
        {"order_id": "o2", "fact": "paid", "line": 0, "at": T0 + DAY, "message_id": "o2", "cid": "u:3", "amount": 10, "version": 3},
    ],
    "decisions": [decision(1, "treated"), decision(2, "holdout"), decision(3, "treated"), decision(4, "none")],
    "outcomes": [{"decision_id": f"{1:026}", "action": "notify:cart", "fact": "sent", "ref": "", "at": T0 + 20, "cid": "u:1",
                  "rule": "cart-rescue", "channel": "log", "amount": 0, "reason": "", "version": 1},
                 {"decision_id": f"{1:026}", "action": "notify:cart", "fact": "clicked", "ref": "m9", "at": T0 + 40, "cid": "u:1",
                  "rule": "", "channel": "log", "amount": 0, "reason": "", "version": 1}],
    "coupon_ledger": [{"coupon_id": "c1", "seq": 1, "fact": "issued", "at": T0, "cid": "u:1", "decision_id": f"{1:026}",
                       "rule": "cart-rescue", "offer": "ten", "face": 10, "cost": 0, "expires_at": T0 + DAY, "version": 1},
                      {"coupon_id": "c1", "seq": 2, "fact": "redeemed", "at": T0 + DAY, "cid": "u:1", "rule": "cart-rescue",
                       "offer": "ten", "face": 10, "cost": 9.5, "order_id": "o1", "expires_at": T0 + DAY, "version": 2}],
    "rules": [{"rule": "cart-rescue", "version": "abc", "published_at": T0, "title": "挽回", "sha256": "a" * 64, "body": "name: x"}],
    "model_metrics": [{"model": "m", "at": T0, "version": "v1", "metric": "auc", "value": 0.71, "examples": 100}],
    "quarantine": [{"quarantine_id": "q", "at": 4_000_000_000_000, "source": "web", "reason": "bad_time", "detail": "d", "body": "{}",
                    "retried_at": None, "version": 1}],
    "points_ledger": [{"cid": "a:x", "entry_id": "m1", "at": T0, "fact": "earned", "points": 100, "lot": "m1", "expires_at": T0 + DAY,
                       "order_id": "o1", "rule": "", "version": 1},
                      {"cid": "u:1", "entry_id": "m2", "at": T0 + DAY, "fact": "expired", "points": -40, "lot": "m1", "expires_at": None,
                       "version": 2}],
    "segment_moves": [{"segment": "member.gold", "at": T0, "cid": "u:1", "seq": 1, "move": 1, "went_to": "gold", "version": 1},
                      {"segment": "member.gold", "at": T0 + DAY, "cid": "u:1", "seq": 2, "move": -1, "came_from": "gold", "version": 2},
                      {"segment": "member.gold", "at": T0 + DAY, "cid": "u:2", "seq": 1, "move": 1, "version": 3}],
    "ticket_facts": [{"ticket_id": "t1", "at": T0, "message_id": "m1", "fact": "opened", "cid": "u:1", "team": "care", "topic": "size",
                      "due_at": T0 + DAY, "version": 1},
                     {"ticket_id": "t1", "at": T0 + 60_000, "message_id": "m2", "fact": "replied", "cid": "u:1", "staff_id": "s1", "version": 2},
                     {"ticket_id": "t1", "at": T0 + 90_000, "message_id": "m3", "fact": "rated", "cid": "u:1", "score": 4.5, "version": 3}],
    "customers": [{"cid": "u:1", "version": 7, "updated_at": T0, "first_seen": T0, "last_seen": None, "birthday_md": 504, "city": "杭州", "tier": "gold",
                   "segments": ["vip", "rfm.champions"], "consent": {"marketing": ["push", "sms"], "service": []},
                   "scores": {"purchase": 0.25}, "points": 60}, {"cid": "a:x", "version": 3, "updated_at": T0}],
    "review_facts": [{"review_id": "r1", "event": "Product Reviewed", "at": T0, "cid": "a:x", "merchant_id": "m1", "rating": 1,
                      "sentiment": None, "topics": ["size", "delivery"], "complaint": 1, "text": "太小", "version": 1}],
    "survey_facts": [{"message_id": "s1", "at": T0, "cid": "u:1", "kind": "nps", "score": 9, "version": 1},
                     {"message_id": "s2", "at": T0, "cid": "u:1", "kind": "csat", "score": 2, "merchant_id": "m1", "version": 2}],
}  # fmt: skip


@pytest.fixture
def migrated(clickhouse):
    migrate(clickhouse)
    return clickhouse


def test_migrations_are_applied_once_and_in_order(clickhouse):
    applied = migrate(clickhouse)
    assert applied == sorted(path.name for path in FOLDER.glob("*.sql"))
    assert migrate(clickhouse) == []
    names = {row[0] for row in clickhouse.query("SHOW TABLES").result_rows}
    assert names == TABLES | set(VIEWS) | {"migrations", "erasures"}


def test_an_altered_applied_file_is_refused_by_name(clickhouse, tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "m")
    migrate(clickhouse, folder)
    last = max(folder.glob("*.sql"))
    last.write_text(last.read_text() + "-- one word more\n")
    with pytest.raises(MigrationError, match=last.name):
        migrate(clickhouse, folder)


def test_a_later_file_is_applied_alone_and_an_earlier_one_refused(clickhouse, tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "m")
    migrate(clickhouse, folder)
    (folder / "0900_more.sql").write_text(
        "-- a; comment\nCREATE TABLE IF NOT EXISTS more (a Int8) ENGINE = Memory;\n"
    )
    assert migrate(clickhouse, folder) == ["0900_more.sql"]
    (folder / "0899_late.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=r"0899_late\.sql"):
        migrate(clickhouse, folder)


def test_a_database_of_a_later_version_is_refused(clickhouse, tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "m")
    (folder / "0900_more.sql").write_text("SELECT 1;")
    migrate(clickhouse, folder)
    with pytest.raises(MigrationError, match=r"0900_more\.sql.*later"):
        migrate(clickhouse)


@pytest.mark.parametrize("names", [["1_short.sql"], ["0001_a.sql", "0001_b.sql"]])
def test_misnamed_files_are_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=names[-1]):
        history.migrations(tmp_path)


def test_several_starters_apply_everything_once(clickhouse_database, clickhouse):
    applied, failures = [], []

    def work():
        try:
            applied.extend(migrate(connect(clickhouse_database)))
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(applied) == sorted(path.name for path in FOLDER.glob("*.sql"))
    assert clickhouse.command("EXISTS TABLE migration_lock") == 0


def test_a_held_lock_is_waited_for_and_a_dead_ones_taken_over(clickhouse, monkeypatch):
    clickhouse.command(
        "CREATE TABLE migration_lock (holder String) ENGINE = Memory COMMENT 'process 7 some-id'"
    )
    with pytest.raises(MigrationError, match="process 7"):
        migrate(clickhouse, wait_seconds=0.3)
    monkeypatch.setattr(history, "LOCK_STALE_SECONDS", -1.0)
    assert migrate(clickhouse)
    assert clickhouse.command("EXISTS TABLE migration_lock") == 0


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_insert_twice_counts_once(migrated, table):
    for _ in range(2):
        assert insert(migrated, table, SAMPLES[table]) == len(SAMPLES[table])
    count = migrated.command(f"SELECT count() FROM {table} FINAL")
    assert count == len(SAMPLES[table])


def test_every_table_has_a_sample():
    assert set(SAMPLES) == TABLES


def test_every_view_answers_with_rows_twice_inserted(migrated):
    for _ in range(2):
        for table, rows in SAMPLES.items():
            insert(migrated, table, rows)
    answers = {
        view: list(migrated.query(f"SELECT * FROM {view}{arguments}").named_results())
        for view, arguments in VIEWS.items()
    }
    assert all(answers.values())
    assert {row["cid"] for row in answers["v_events"]} == {"u:1", "u:2"}
    orders = {row["order_id"]: row for row in answers["v_orders"]}
    assert [float(orders["o1"][name]) for name in ("net", "gross")] == [90.0, 99.9]
    assert orders["o1"]["cid"] == "u:1"
    assert orders["o2"]["promised_at"] is None
    (lift,) = answers["v_lift"]
    assert (lift["n1"], lift["n0"], lift["conv1"], lift["conv0"]) == (2, 1, 1.0, 0.0)
    assert lift["revenue_a_customer"] == 50.0
    (cost,) = [row for row in answers["v_coupon_cost"] if row["redeemed"]] or [None]
    assert float(cost["cost"]) == 9.5
    assert answers["v_points"] == [
        {"cid": "u:1", "balance": 60, "earned": 100, "redeemed": 0, "expired": 40}
    ]
    assert [row["size"] for row in answers["v_segment_size"]] == [1, 1]
    (ticket,) = answers["v_tickets"]
    assert (ticket["team1"], ticket["staff"], ticket["csat"]) == ("care", "s1", 4.5)
    assert [row["cid"] for row in answers["v_customers"]] == ["u:1"]


def test_views_are_right_without_any_row(migrated):
    for view, arguments in VIEWS.items():
        assert migrated.query(f"SELECT * FROM {view}{arguments}").result_rows == []


def test_values_arrive_as_they_are_meant(migrated):
    insert(migrated, "events", SAMPLES["events"])
    (row,) = migrated.query(
        "SELECT toUnixTimestamp64Milli(at), toString(price), properties, log_offset, session_id FROM events"
        " WHERE message_id = 'm1'"
    ).result_rows
    assert row == (T0, "12.35", '{"名":"二"}', 2**63, "")
    insert(migrated, "decisions", SAMPLES["decisions"])
    found = migrated.query("SELECT values, arm FROM decisions ORDER BY at LIMIT 1").result_rows
    assert found == [({"cart.value": "12.50"}, "treated")]
    insert(migrated, "customers", SAMPLES["customers"])
    found = migrated.query(
        "SELECT city, segments, consent, scores, points, last_seen FROM customers"
        " WHERE cid = 'u:1' AND NOT erased"
    ).result_rows
    consent = {"marketing": ["push", "sms"], "service": []}
    assert found == [("杭州", ["vip", "rfm.champions"], consent, {"purchase": 0.25}, 60, None)]
    insert(migrated, "ticket_facts", SAMPLES["ticket_facts"])
    scores = "SELECT groupArray(score), count() FROM ticket_facts"  # null is no score
    assert migrated.query(scores).result_rows == [([4.5], 3)]


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("events", {"evnt": "x"}, "did you mean 'event'"),
        ("events", {"at": None}, "events.at is missing"),
        ("order_facts", {"amount": float("nan")}, "order_facts.amount"),
        ("order_facts", {"amount": "ten"}, "order_facts.amount"),
        ("order_facts", {"fact": None}, "order_facts.fact is missing"),
        ("events", {"quantity": 2**40}, "events.quantity"),
        ("events", {"cid": 7}, "events.cid"),
        ("nope", {}, "no table nope"),
    ],
)
def test_a_row_that_does_not_fit_is_named_and_nothing_is_written(migrated, table, change, words):
    rows = [SAMPLES.get(table, [{}])[0], SAMPLES.get(table, [{}])[0] | change]
    with pytest.raises(BadRowsError, match=words):
        insert(migrated, table, rows)
    if table in TABLES:
        assert migrated.command(f"SELECT count() FROM {table}") == 0


@pytest.mark.parametrize("url", ["localhost:8123", "tcp://localhost:9000", "http://", ""])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match="ClickHouse address"):
        connect(url)
