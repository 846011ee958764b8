"""The real pipeline on the memory store with a log in lists: several shards, letters carried by hand.

A fake we wrote for tests: it keeps every record and hands batches of any size to any shard.
"""

import json

import orjson

from engine import pools
from engine.effects import Settings
from engine.journal import REGISTRY
from engine.pipeline import Shard
from engine.records import LETTER, RULES, TICK, Record
from engine.shards import partition
from engine.stores.memory import MemoryStore
from features.customer import Customer
from features.events import encode, key, parse
from rules.load import book_from_sources

SECRET = b"secret-of-the-tests"
START = 1_767_571_200_000  # 2026-01-05 00:00 UTC
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


class MemoryEngine:
    def __init__(
        self,
        rules: dict[str, str] | None = None,
        shards: int = 4,
        batch: int = 100,
        record: bool = True,
    ) -> None:
        self.record = record
        self.store = MemoryStore()
        self.shards = shards
        self.batch = batch
        self.logs: list[list[Record]] = [[] for _ in range(shards)]
        self.workers: list[Shard] = []
        self.carried: list[int] = [0] * shards
        self.count = 0
        if rules:
            self.publish(rules, 0)

    def publish(self, rules: dict[str, str], at: int) -> None:
        """These are the rules from `at` (ms after START) on."""
        book = book_from_sources(rules)
        self.store.bodies["rules", book.hash] = orjson.dumps(rules)
        for shard in range(self.shards):
            self.append(shard, RULES, orjson.dumps({"hash": book.hash}), START + at)

    def append(self, shard: int, key_: bytes, value: bytes, at: int) -> None:
        log = self.logs[shard]
        last = log[-1].log_time if log else 0
        log.append(Record(len(log), max(last, at), key_, value))

    def send(
        self, at: int, name: str = "Product Viewed", *, log_time: int | None = None, **item
    ) -> None:
        """One event of the storefront, `at` ms after START."""
        self.count += 1
        moment = START + at
        known = {"userId", "anonymousId", "previousId", "messageId", "type", "row", "traits"}
        row = item.pop("row", [])
        call = {k: v for k, v in item.items() if k in known}
        call.setdefault("type", "track")
        call.setdefault("messageId", f"m{self.count}")
        call["properties"] = {k: v for k, v in item.items() if k not in known}
        if call["type"] == "track":
            call["event"] = name
        call["timestamp"] = moment
        event = parse(call, source="test", received_at=max(moment, log_time or 0))
        event.row = row
        where = key(event)
        self.append(partition(where, self.shards), where, encode(event), log_time or moment)

    def stock(self, at: int, *codes: str, pool: str = "vip") -> None:
        """Imported codes, `at` ms after START."""
        for one in pools.imports(SECRET, pool, codes, START + at, self.shards):
            self.append(one.shard, one.key, one.value, START + at)

    def tick(self, at: int) -> None:
        for shard in range(self.shards):
            self.append(shard, TICK, orjson.dumps({"at": START + at}), START + at)

    async def open(self) -> None:
        self.workers = [
            Shard(
                Settings(n, self.shards, SECRET, record_clock=self.record),
                self.store,
            )
            for n in range(self.shards)
        ]
        for worker in self.workers:
            await worker.open()

    async def run(self) -> None:
        """Until every record is decided and every letter has arrived."""
        if not self.workers:
            await self.open()
        moved = True
        while moved:
            for worker in self.workers:
                log = self.logs[worker.number]
                while worker.next_offset < len(log):
                    await worker.process(log[worker.next_offset :][: self.batch])
            moved = self.carry()

    def carry(self) -> bool:
        moved = False
        for shard in range(self.shards):
            entries = self.store.shard(shard).outbox
            for _, body in entries[self.carried[shard] :]:
                entry = json.loads(body)
                for letter in entry.get("letters", ()):
                    moved = True
                    self.append(letter["to"], LETTER, orjson.dumps(letter), entry["log_time"])
            self.carried[shard] = len(entries)
        return moved

    def entries(self) -> list[dict]:
        return [
            json.loads(body)
            for shard in range(self.shards)
            for _, body in self.store.shard(shard).outbox
        ]

    def decisions(self, *, acts: bool = True) -> list[dict]:
        rows = [row for entry in self.entries() for row in entry.get("decisions", ())]
        return sorted(
            (row for row in rows if not acts or row["result"] == "act"),
            key=lambda row: (row["at"], row["rule"], row["decision_id"]),
        )

    def gathered(self, what: str) -> list[dict]:
        return [row for entry in self.entries() for row in entry.get(what, ())]

    def counts(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for worker in self.workers:
            for name, number in worker._state.counts.items():
                total[name] = total.get(name, 0) + number
        return total

    def customer(self, cid: str):
        blob = self.store.shard(partition(cid.encode(), self.shards)).customers.get(cid)
        return Customer.decode(cid, blob, REGISTRY)
