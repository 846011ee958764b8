"""A lane for each shard this process owns: whole batches in order, one in flight a shard.

Must live here: opening, feeding and closing shards. Must not: where batches come from, what a
shard does with them. A lane never raises into its feeder: what `process` raises ends the process,
by `failed`, because it means that we are fenced or wrong.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, Protocol

from engine.ending import end
from engine.records import Record

DEPTH: Final = 2  # batches of a lane that wait: one more is being decided
HOLES_MAX: Final = 5  # in a row, after which the shard itself says what is missing
REST_SECONDS: Final = 6.0

log = logging.getLogger(__name__)


class Shard(Protocol):
    """What a lane asks of a shard (engine.pipeline has the real one)."""

    number: int

    @property
    def next_offset(self) -> int:
        """The next record to decide; all below are committed."""

    @property
    def rules_hash(self) -> str:
        """The version of the rules in force."""

    @property
    def model_hash(self) -> str:
        """The version of the model in force."""

    @property
    def killed(self) -> str:
        """What the kill switch stops."""

    async def open(self) -> int:
        """Become the owner; the offset to start from."""

    async def process(self, records: Sequence[Record]) -> None:
        """Decide and commit; records below next_offset are dropped."""

    async def close(self) -> None:
        """Let go."""


MakeShard = Callable[[int], Awaitable[Shard]]
Failed = Callable[[BaseException], None]


class Lane:
    """One open shard, what waits for it and the task that feeds it."""

    def __init__(
        self, shard: Shard, room: asyncio.Event, going: asyncio.Event, failed: Failed
    ) -> None:
        self.shard = shard
        self.expected = shard.next_offset
        self.processed = 0
        self.asked: dict[bytes, str] = {}  # kind of record -> the hash it was last appended with
        self._holes = 0
        self._waiting: deque[Sequence[Record]] = deque()
        self._filled = asyncio.Event()
        self._idle = asyncio.Event()
        self._room = room
        self._going = going
        self._failed = failed
        self._task = asyncio.create_task(self._run(), name=f"shard {shard.number}")

    @property
    def has_room(self) -> bool:
        """Whether one more batch may be fetched."""
        return len(self._waiting) < DEPTH

    def put(self, records: Sequence[Record]) -> bool:
        """Queue a batch; False when one before it is missing, which must be fetched again."""
        if records[0].offset > self.expected and self._holes < HOLES_MAX:
            self._holes += 1
            return False
        self._holes = 0
        self.expected = records[-1].offset + 1
        self._waiting.append(records)
        self._idle.clear()
        self._filled.set()
        return True

    def rewind(self) -> int:
        """Forget what waits and say where fetching must start."""
        self._waiting.clear()
        self.expected = self.shard.next_offset
        return self.expected

    async def rest(self, seconds: float) -> None:
        """Let the batch in flight end, but no longer than `seconds`; then stand still."""
        self._waiting.clear()
        if not self._task.done():
            try:
                await asyncio.wait_for(self._idle.wait(), seconds)
            except TimeoutError:
                log.warning("shard %d: its batch is given up for another owner", self.shard.number)
        await end([self._task])

    async def _run(self) -> None:
        try:
            while True:
                while not (self._waiting and self._going.is_set()):
                    self._idle.set()
                    if self._waiting:
                        await self._going.wait()
                    else:
                        self._filled.clear()
                        await self._filled.wait()
                self._idle.clear()
                records = self._waiting.popleft()
                self._room.set()
                await self.shard.process(records)
                self.processed += len(records)
        except Exception as error:  # noqa: BLE001 - whatever it is, this process ends by it
            self._idle.set()
            self._failed(error)


class Lanes:
    """The shards of this process. `changed` is set at every opening."""

    def __init__(self, make_shard: MakeShard, failed: Failed) -> None:
        self._make_shard = make_shard
        self._failed = failed
        self._lanes: dict[int, Lane] = {}
        self._room = asyncio.Event()
        self._going = asyncio.Event()
        self._going.set()
        self._closings = 0
        self._opening = asyncio.Lock()
        self.changed = asyncio.Event()

    def __iter__(self) -> Iterator[Lane]:
        return iter(list(self._lanes.values()))

    def has_room(self, number: int) -> bool:
        """Whether a batch of this shard may be fetched."""
        lane = self._lanes.get(number)
        return lane is not None and lane.has_room

    async def wait_for_room(self, seconds: float) -> None:
        """Return when a lane has taken a batch up, or after `seconds`."""
        self._room.clear()
        try:
            await asyncio.wait_for(self._room.wait(), seconds)
        except TimeoutError:
            return

    async def open(self, number: int) -> int | None:
        """The offset to fetch this shard from, opened if need be; None when closed meanwhile."""
        closings = self._closings
        async with self._opening:  # Faust may ask again meanwhile: a second owner fences the first
            if self._closings != closings:
                return None
            if number not in self._lanes:
                shard = await self._make_shard(number)
                await shard.open()
                if self._closings != closings:
                    await shard.close()
                    return None
                self._lanes[number] = Lane(shard, self._room, self._going, self._failed)
                self.changed.set()
            return self._lanes[number].rewind()

    @property
    def paused(self) -> bool:
        """Whether nothing new is decided for now."""
        return not self._going.is_set()

    def pause(self, pausing: bool) -> None:
        """Decide nothing more, or go on; the batches in flight end, what waits is kept."""
        if pausing:
            self._going.clear()
        else:
            self._going.set()

    def put(self, number: int, records: Sequence[Record]) -> int | None:
        """Queue a batch. An offset in answer: fetch again from there, a batch was lost."""
        lane = self._lanes.get(number)
        if lane is None or lane.put(records):
            return None
        return lane.expected

    def positions(self) -> dict[int, int]:
        """The next offset of each open shard."""
        return {number: lane.shard.next_offset for number, lane in self._lanes.items()}

    async def rest(self, seconds: float = REST_SECONDS) -> None:
        """Decide nothing more; batches in flight end within `seconds` or are given up."""
        await asyncio.gather(*(lane.rest(seconds) for lane in self))

    async def close(self, seconds: float = REST_SECONDS) -> None:
        """Rest, and let go of every shard, also of one that is being opened."""
        self._closings += 1
        await self.rest(seconds)
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            await lane.shard.close()
