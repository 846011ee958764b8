"""What a run came to, held against what was sent: from raw rows, the outboxes and the receiver.

Must live here: the comparison. Must not: anything the engine says of itself, bar what it committed.
Rows are read as they were inserted (merges are stopped, no FINAL): an id may come again, but with
the same content to the last column.

    lost        an event, decision, coupon or message that must be there and is not
    duplicated  a second one where one may be, or two contents under one id
    wrong       anything else that must not be: it was never asked for, or an order is broken
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import orjson
from clickhouse_connect.driver.client import Client

from simulator.kills.receiver import Receiver
from simulator.kills.story import THIRD_LOOK, Act, Expected

IDS = {
    "events": "message_id",
    "decisions": "decision_id",
    "outcomes": "decision_id, action, fact, ref",
    "coupon_ledger": "coupon_id, seq",
    "order_facts": "order_id, fact, line",
    "points_ledger": "cid, entry_id",
    "segment_moves": "segment, at, cid, seq",
    "identities": "alias",
    "quarantine": "quarantine_id",
}
LEDGERS = ("points_ledger", "segment_moves")  # as commits tell them, row by row
TOLD_MOST = 10

Outboxes = list[list[dict[str, Any]]]  # of each shard, its entries in order


@dataclass
class Audit:
    """The findings, each with a line that says what; empty lists are what everybody hopes for."""

    expected: Expected
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    fingerprint: str = ""  # of every decision that acts and every coupon, ids and codes included

    def told(self) -> list[str]:
        """The first findings of each sort."""
        return [
            f"{name}: {line}"
            for name in ("lost", "duplicated", "wrong")
            for line in getattr(self, name)[:TOLD_MOST]
        ]

    def rows(self, client: Client) -> None:
        """ClickHouse's raw rows."""
        for table, ids in IDS.items():
            self._one_content(client, table, ids)
        self._events(client)
        self._balances(client)
        found = repr((sorted(self._acts(client)), sorted(self._coupons(client))))
        self.fingerprint = blake2b(found.encode(), digest_size=8).hexdigest()
        (junk,) = _column(client, "SELECT uniqExact(quarantine_id) FROM quarantine")
        self._number("rows of quarantine", int(junk), self.expected.junk)

    def _one_content(self, client: Client, table: str, ids: str) -> None:
        sql = f"""SELECT {ids}, count(), uniqExact(toString(tuple(*))) AS contents
                  FROM {table} GROUP BY {ids}"""  # noqa: S608 - names of our own
        found = client.query(sql).result_rows
        self.figures[f"{table}_rows"] = sum(row[-2] for row in found)
        self.figures[f"{table}_repeats"] = self.figures[f"{table}_rows"] - len(found)
        self.duplicated += [f"{table} has {row[-1]} contents of {row[:-2]}" for row in found
                            if row[-1] > 1]  # fmt: skip

    def _events(self, client: Client) -> None:
        rows: Any = client.query("SELECT DISTINCT message_id, cid FROM events").result_rows
        found: dict[str, str] = dict(rows)
        wanted = self.expected.events
        self.lost += [f"event {one}" for one in sorted(wanted.keys() - found.keys())]
        self.wrong += [f"event {one} was never sent" for one in sorted(found.keys() - wanted)]
        self.wrong += [f"event {one} is {found[one]}'s, not {wanted[one]}'s"
                       for one in found.keys() & wanted.keys()
                       if found[one] != wanted[one]]  # fmt: skip
        self.figures["events"] = len(wanted)

    def _balances(self, client: Client) -> None:
        """Points by customer, and who is in which segment: a sum shows any repeat."""
        sql = """SELECT cid, sum(points) FROM (SELECT DISTINCT cid, entry_id, points
                 FROM points_ledger) GROUP BY cid"""
        points = {cid: int(many) for cid, many in client.query(sql).result_rows}
        for cid in sorted({*points, *self.expected.points}):
            self._number(f"points of {cid}", points.get(cid, 0), self.expected.points.get(cid, 0))
        sql = """SELECT segment, cid, sum(move), count() FROM (SELECT DISTINCT segment, at, cid,
                 seq, move FROM segment_moves) GROUP BY segment, cid"""
        rows = client.query(sql).result_rows
        moved = {(segment, cid): (int(sum_), int(count)) for segment, cid, sum_, count in rows}
        for one in sorted({*moved, *self.expected.moves}):
            wanted = int(one in self.expected.moves)
            inside, times = moved.get(one, (0, 0))
            self._number(f"in segment {one}", inside, wanted)
            self._number(f"moves of {one}", times, wanted)
        self.figures["points"] = sum(points.values())
        self.figures["moves"] = len(moved)

    def _acts(self, client: Client) -> list[Any]:
        sql = "SELECT DISTINCT rule, cid, instance, decision_id FROM decisions WHERE result = 'act'"
        found: dict[Act, set[str]] = defaultdict(set)
        for rule, cid, instance, name in client.query(sql).result_rows:
            found[rule, cid, instance if rule == THIRD_LOOK else ""].add(_text(name))
        self._single("decision", found, self.expected.acts)
        self.figures["decisions"] = len(found)
        return [(act, sorted(ids)) for act, ids in found.items()]

    def _coupons(self, client: Client) -> list[Any]:
        sql = "SELECT DISTINCT rule, cid, coupon_id FROM coupon_ledger WHERE fact = 'issued'"
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for rule, cid, code in client.query(sql).result_rows:
            found[rule, cid].add(code)
        self._single("coupon", found, self.expected.coupons)
        self.figures["coupons"] = len(found)
        return [(owner, sorted(codes)) for owner, codes in found.items()]

    def _single(self, what: str, found: dict[Any, set[str]], wanted: Iterable[Any]) -> None:
        """Exactly one id for each that is wanted, and none for anybody else."""
        wanted = set(wanted)
        self.lost += [f"{what} {one}" for one in sorted(wanted - found.keys())]
        self.wrong += [f"{what} {one} has no cause" for one in sorted(found.keys() - wanted)]
        self.duplicated += [f"{what} {one}: {sorted(ids)}" for one, ids in sorted(found.items())
                            if len(ids) > 1]  # fmt: skip

    def messages(self, receiver: Receiver, client: Client, most_again: int) -> None:
        """What was received: each acting decision's message once; how often one came again."""
        sql = "SELECT DISTINCT decision_id FROM decisions WHERE result = 'act'"
        acting = {(_text(name),) for name in _column(client, sql)}
        found: dict[Any, set[str]] = defaultdict(set)
        codes: dict[Any, set[str]] = defaultdict(set)
        for key, body in receiver.applied.items():
            data = body["data"]
            found[data["decision_id"],].add(key)
            for coupon in data["coupons"]:
                codes[data["rule"], data["customer"]].add(coupon["code"])
        self._single("message of decision", found, acting)
        self._single("coupon received", codes, self.expected.coupons)
        self.wrong += [f"message {key} came again with other content" for key in receiver.changed]
        self.figures["messages"] = len(receiver.applied)
        self.figures["redelivered"] = receiver.redelivered
        if receiver.redelivered > most_again:
            self.wrong.append(f"{receiver.redelivered} messages came again: at most {most_again}")
        sql = "SELECT DISTINCT decision_id FROM outcomes WHERE fact = 'sent'"
        sent = {(_text(name),) for name in _column(client, sql)}
        self.lost += [f"row of what was sent: {one}" for one in sorted(acting - sent)]
        failed = (
            "SELECT DISTINCT concat(decision_id, ' ', reason) FROM outcomes WHERE fact = 'failed'"
        )
        self.wrong += [f"a message failed: {one}" for one in _column(client, failed)]

    def outboxes(self, outboxes: Outboxes, client: Client) -> None:
        """Each shard's commits follow each other; every decision in them is a row, and no other."""
        committed: set[str] = set()
        first: dict[int, int] = {}
        for shard, entries in enumerate(outboxes):
            for before, after in pairwise(entries):
                if after["from"] != before["to"]:
                    told = f"from {after['from']} after to {before['to']}"
                    self.wrong.append(f"shard {shard}: a commit {told}")
            for entry in entries:
                committed |= {row["decision_id"] for row in entry.get("decisions", ())}
            first[shard] = entries[0]["from"] if entries else 0
        sql = "SELECT DISTINCT decision_id, shard, log_offset FROM decisions"
        rows = client.query(sql).result_rows
        known = {_text(name) for name, _, _ in rows}
        late = {_text(name) for name, shard, offset in rows if offset >= first[shard]}
        self.lost += [f"row of decision {one}" for one in sorted(committed - known)]
        self.wrong += [f"decision {one} was never committed" for one in sorted(late - committed)]
        for table in LEDGERS:
            self._carried(table, outboxes, client)

    def _carried(self, table: str, outboxes: Outboxes, client: Client) -> None:
        """Every row of a ledger that was committed is there."""
        names = [name.strip() for name in IDS[table].split(",") if name.strip() != "at"]
        facts = (row for entries in outboxes for entry in entries
                 for row in entry.get("facts", {}).get(table, ()))  # fmt: skip
        wanted = {tuple(row[name] for name in names) for row in facts}
        sql = f"SELECT DISTINCT {', '.join(names)} FROM {table}"  # noqa: S608 - names of our own
        missing = wanted - {tuple(row) for row in client.query(sql).result_rows}
        self.lost += [f"row of {table} {one}" for one in sorted(missing)]

    def counted(self, processed: int) -> None:
        """What the shards counted: a figure that is summed shows what an id would hide."""
        self._number("events processed", processed, len(self.expected.events))

    def _number(self, what: str, found: int, wanted: int) -> None:
        if found < wanted:
            self.lost.append(f"{what}: {found}, not {wanted}")
        elif found > wanted:
            self.duplicated.append(f"{what}: {found}, not {wanted}")


def read_entry(body: bytes) -> dict[str, Any]:
    """An outbox entry."""
    found: dict[str, Any] = orjson.loads(body)
    return found


def _column(client: Client, sql: str) -> list[Any]:
    return [value for (value,) in client.query(sql).result_rows]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
