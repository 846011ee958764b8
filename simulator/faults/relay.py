"""The relay in the simulated world: tables, a receiver and letters, each with its own cursor.

Must live here: the three sinks' loops with every step a boundary. Must not: what rows and messages
an entry becomes, how letters are carried (sinks/ has it, and it runs here). The loops of the real
sinks (sinks/relay_loop.py, sinks/channels_sink.py) need asyncio and Redis; those run in the tests
of real processes.
"""

from collections.abc import Awaitable, Callable
from zlib import crc32

from engine.log import LogAway
from engine.records import Append
from simulator.faults.history import Called, History, Inserted
from simulator.faults.log import SimulatedLog
from simulator.faults.store import Memory
from simulator.faults.world import World, boundary, idle
from sinks.channels import Message
from sinks.messages import messages_of
from sinks.outbox import Entry, EntryId
from sinks.receipts import given_up, record
from sinks.relay_letters import Letters
from sinks.relay_loop import Away
from sinks.rows import Row, committed, rows_of

REFUSED = 3  # of the messages with an imported code, one in so many is refused for good
SINKS = ("clickhouse", "push", "letters")
READ_MS, INSERT_MS, SEND_MS, CURSOR_MS = 0.5, 4.0, 3.0, 0.5
AGAIN_MS, TRIM_MS, RESTART_MS = 20.0, 60.0, 80.0


class Receiver:
    """Who gets the messages: it honours the idempotency key and counts calls that repeat one."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.entry_of: dict[str, tuple[int, EntryId]] = {}  # key -> the entry that called last
        self.redelivered = 0

    def call(self, message: Message, entry: Entry) -> None:
        """Take a message once."""
        first = message.key not in self.entry_of
        self.redelivered += not first
        self.entry_of[message.key] = (entry.shard, entry.id)
        codes = tuple(coupon["code"] for coupon in message.coupons)
        self.history.facts.append(Called(message.key, codes, first))

    def in_flight(self, places: dict[int, EntryId]) -> int:
        """How many messages it has had of entries beyond these places: they may come again."""
        return sum(entry > places[shard] for shard, entry in self.entry_of.values())


class Relay:
    """All sinks; each is a process of its own, which is killed and started again."""

    def __init__(
        self,
        world: World,
        log: SimulatedLog,
        memory: Memory,
        history: History,
        *,
        record: bool,
        hasty: bool = False,
    ) -> None:
        self.world = world
        self.log = log
        self.memory = memory
        self.history = history
        self.record = record
        self.receipts: dict[str, list[Append]] = {}  # by a message's key, once it was given up
        self.hasty = hasty  # reads what was only asked to be committed: a mutation
        if hasty:
            memory.early = {sink: [] for sink in SINKS}
        self.receiver = Receiver(history)
        self.letters = Letters(log)
        self.sending: list[Entry] = []
        self._take = {
            "clickhouse": self._insert, "push": self._send, "letters": self._carry,
        }  # fmt: skip

    def start(self) -> None:
        """Start every sink, and the trimmer."""
        for sink in SINKS:
            self.world.start(sink, sink, self._run(sink))
        self.world.start("trimmer", "trimmer", self._trim())

    def kill(self, sink: str) -> None:
        """Kill -9 a sink; it starts again from its cursor."""
        if sink == "push":
            self.may_repeat()
        for actor in [actor for actor in self.world.actors if actor.process == sink]:
            self.world.end(actor)
        self.world.later(RESTART_MS, lambda: self._start_again(sink))

    def _start_again(self, sink: str) -> None:
        if not any(actor.process == sink for actor in self.world.actors):
            self.world.start(sink, sink, self._run(sink))

    def may_repeat(self, *, rewound: bool = False) -> None:
        """Declare what was sent and is not behind the cursor: after a kill it is sent again.

        After a lost second, so is what is being sent now: its commits will be made anew.
        """
        places = {shard: at["push"] for shard, at in enumerate(self.memory.cursors)}
        self.history.redeliveries_max += self.receiver.in_flight(places)
        if rewound:
            self.history.redeliveries_max += sum(len(messages_of(one)) for one in self.sending)

    def drained(self) -> bool:
        """Whether every sink has carried away all there is."""
        return all(
            cursor >= self.memory.end(shard)
            for shard, cursors in enumerate(self.memory.cursors)
            for cursor in cursors.values()
        )

    async def _run(self, sink: str) -> None:
        """Read in order, hand over until it is taken, move the cursor."""
        world, memory = self.world, self.memory
        after = {shard: cursors[sink] for shard, cursors in enumerate(memory.cursors)}
        while True:
            await boundary("before read", READ_MS)
            count = world.order.choice((1, 2, 5, 20))
            entries = [
                entry for shard in after for entry in memory.entries(shard, after[shard], count)
            ]
            if self.hasty:
                entries += [one for one in memory.early[sink] if one.id > after[one.shard]]
                memory.early[sink].clear()
            if not entries:
                await idle()
                continue
            if sink == "push":
                self.sending = entries
            await boundary("after read", READ_MS)
            await self._until_taken(lambda: self._take[sink](entries))  # noqa: B023 - awaited here
            for entry in entries:
                after[entry.shard] = max(entry.id, after[entry.shard])
            await boundary("before the cursor moves", CURSOR_MS)
            for entry in entries:
                cursors = memory.cursors[entry.shard]
                cursors[sink] = after[entry.shard]
            await boundary("after the cursor moved", CURSOR_MS)

    async def _until_taken(self, take: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await take()
            except Away:
                await boundary("pause", AGAIN_MS)
            else:
                return

    async def _insert(self, entries: list[Entry]) -> None:
        rows: dict[str, list[Row]] = {}
        for entry in entries:
            for table, found in rows_of(entry.shard, committed(entry)).items():
                rows.setdefault(table, []).extend(found)
        for table, found in rows.items():
            await boundary("before insert", INSERT_MS / 2)
            if self.world.fault("table_away"):
                raise Away("it was not inserted")
            self.history.facts += [Inserted(table, row) for row in found]
            await boundary("after insert", INSERT_MS / 2)
            if self.world.fault("insert_unknown"):
                raise Away("who knows whether it was inserted")

    async def _send(self, entries: list[Entry]) -> None:
        for entry in entries:
            for message in messages_of(entry):
                await self._until_taken(lambda: self._send_one(message, entry))  # noqa: B023

    async def _send_one(self, message: Message, entry: Entry) -> None:
        now = message.log_time if self.record else self.world.log_now
        if now > message.not_after:
            await self._give_up(message, "expired", message.not_after)
            return
        await boundary("before send", SEND_MS / 2)
        if self.world.fault("receiver_away"):
            raise Away("it was not sent")
        if message.pooled and crc32(message.key.encode()) % REFUSED == 0:
            await self._give_up(message, "refused")
            return
        self.receiver.call(message, entry)
        await boundary("after send", SEND_MS / 2)
        if self.world.fault("send_unknown"):
            self.history.redeliveries_max += 1
            raise Away("who knows whether it was sent")
        self.history.facts.append(Inserted("outcomes", message.outcome("sent")))

    async def _give_up(self, message: Message, reason: str, at: int | None = None) -> None:
        """It is told as failed, and the customer's log has it where a code goes back."""
        key, shards = message.key, self.log.shards
        if message.pooled and not self.record:
            unsent = key not in self.receiver.entry_of
            if key not in self.receipts:
                told = given_up(message, reason, self.world.log_now, unsent=unsent)
                self.receipts[key] = [record(one, shards) for one in told]
            if unsent:
                self.history.unsent.add(message.decision_id)
            try:
                await self.log.append(self.receipts[key])
            except LogAway as away:
                raise Away("it may have been told") from away
        self.history.facts.append(Inserted("outcomes", message.outcome("failed", reason, at)))

    async def _carry(self, entries: list[Entry]) -> None:
        await self.letters.take(entries)

    async def _trim(self) -> None:
        while True:
            await boundary("before trim", TRIM_MS)
            self.memory.trim()
