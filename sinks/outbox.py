"""What a shard's commits left to be carried away, and how far each reader has come.

Must live here: the names of the streams and cursors in Redis, how entries are read in order, and
the questions "has every reader come to the end?" that a replay asks. Must not: what an entry means
to a reader, and any write except cursors.

An outbox entry's id is `<next offset>-<tick step>` of the commit that wrote it, so a cursor is also
an offset of the shard's log: everything below it has been carried away. The relay's own stream
`outcomes` (what came of sending) is read in the same way.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from redis.asyncio import Redis

OUTBOX = "outbox"
OUTCOMES = "outcomes"
AGAIN = "again"  # messages put off, or handed to their next channel
SINKS = "laike:sinks"  # hash of the sinks that the relay runs -> the stream that each reads


class EntryId(NamedTuple):
    """A Redis stream id; ids compare as the entries follow each other."""

    offset: int
    step: int

    @classmethod
    def parse(cls, text: bytes | None) -> Self:
        """Read `<offset>-<step>`; no cursor yet is the beginning.

        >>> EntryId.parse(b"12-1") > EntryId.parse(b"9-4") > EntryId.parse(None)
        True
        """
        offset, _, step = (text or b"0").partition(b"-")
        return cls(int(offset), int(step or 0))

    @property
    def text(self) -> str:
        """The form that Redis stores and compares."""
        return f"{self.offset}-{self.step}"


START = EntryId(0, 0)


class Entry(NamedTuple):
    """One entry of a stream: whose shard's, where in it, and its JSON."""

    shard: int
    id: EntryId
    body: bytes


def stream_key(shard: int, stream: str = OUTBOX) -> str:
    """Where a shard's entries are."""
    return f"{{s{shard}}}:{stream}"


def cursor_key(shard: int, sink: str) -> str:
    """Where a sink keeps the last entry of a shard that it is done with."""
    return f"{{s{shard}}}:cursor:{sink}"


def next_key(shard: int) -> str:
    """Where the worker keeps its own position."""
    return f"{{s{shard}}}:next"


class Reader:
    """The streams of all shards, read by one sink. It holds no position: the sink does."""

    def __init__(self, redis: Redis, shards: int, stream: str = OUTBOX) -> None:
        self.redis = redis
        self.shards = shards
        self.stream = stream
        self._shard_of = {stream_key(s, stream).encode(): s for s in range(shards)}

    async def cursors(self, sink: str) -> dict[int, EntryId]:
        """How far `sink` has come, by shard."""
        keys = [cursor_key(shard, sink) for shard in range(self.shards)]
        return dict(enumerate(EntryId.parse(text) for text in await _get(self.redis, keys)))

    async def read(self, after: Mapping[int, EntryId], count: int, wait_ms: int = 0) -> list[Entry]:
        """At most `count` entries of each shard after those positions, each shard's in order.

        With nothing there it waits up to `wait_ms` in Redis: no polling, no delay when one comes.
        """
        places: dict[Any, Any] = {stream_key(s, self.stream): at.text for s, at in after.items()}
        found: Any = await self.redis.xread(places, count=count, block=wait_ms or None)
        return [
            Entry(self._shard_of[key], EntryId.parse(name), fields[b"b"])
            for key, entries in found
            for name, fields in entries
        ]

    async def ends(self) -> list[EntryId]:
        """The last entry of each shard's stream."""
        return await _ends(self.redis, [stream_key(s, self.stream) for s in range(self.shards)])

    async def advance(self, sink: str, to: Mapping[int, EntryId]) -> None:
        """Remember that `sink` is done with everything up to and including `to`."""
        pipe = self.redis.pipeline(transaction=False)
        for shard, at in to.items():
            pipe.set(cursor_key(shard, sink), at.text)
        await pipe.execute()


def last_of(entries: Iterable[Entry]) -> dict[int, EntryId]:
    """The furthest entry of each shard among these."""
    return {entry.shard: entry.id for entry in entries}


async def drained(redis: Redis, shards: int, upto: Sequence[EntryId] | None = None) -> bool:
    """Whether every sink of the relay has come to the end of what it reads, in every shard.

    With `upto` it is enough to have come so far in the outboxes: in wall time a tick a second
    adds to them for ever.
    What a channel sends becomes an entry of `outcomes` in the same transaction that moves its
    cursor, so the outboxes are asked first: nothing can slip between the two. With `upto` nobody
    waits for messages that were put off, which may be until the morning.
    """
    sinks: dict[Any, Any] = await redis.hgetall(SINKS)
    before = await Reader(redis, shards, AGAIN).ends()
    for stream in (OUTBOX, AGAIN, OUTCOMES):
        if stream == AGAIN and upto is not None:
            continue
        names = [name.decode() for name, reads in sinks.items() if reads.decode() == stream]
        if stream == OUTBOX and not names:
            return all(end == START for end in await Reader(redis, shards).ends())
        for name in names:
            if await behind(redis, shards, name, stream, upto if stream == OUTBOX else None):
                return False
    return upto is not None or before == await Reader(redis, shards, AGAIN).ends()


async def behind(
    redis: Redis, shards: int, sink: str, stream: str, upto: Sequence[EntryId] | None = None
) -> int:
    """In how many shards `sink` has entries before it, of those up to `upto` if that is given."""
    reader = Reader(redis, shards, stream)
    ends = await reader.ends() if upto is None else upto
    cursors = await reader.cursors(sink)
    return sum(end > cursors[shard] for shard, end in enumerate(ends))


async def _ends(redis: Redis, keys: Sequence[str]) -> list[EntryId]:
    pipe = redis.pipeline(transaction=False)
    for key in keys:
        pipe.xrevrange(key, count=1)
    found = await pipe.execute()
    return [EntryId.parse(entries[0][0]) if entries else START for entries in found]


async def _get(redis: Redis, keys: Sequence[str]) -> list[bytes | None]:
    pipe = redis.pipeline(transaction=False)
    for key in keys:
        pipe.get(key)
    values: list[bytes | None] = await pipe.execute()
    return values
