"""A lane: in order, one batch in flight, a hole is fetched again, a fault ends it and says so."""

import asyncio
from collections.abc import Sequence

import pytest

from engine.lanes import DEPTH, HOLES_MAX, Lanes
from engine.records import Record


class Gate:
    """A shard that takes a batch up only when told."""

    rules_hash = model_hash = killed = ""

    def __init__(self, number: int, next_offset: int = 0) -> None:
        self.number, self.next_offset = number, next_offset
        self.taken: list[list[int]] = []
        self.go = asyncio.Semaphore(0)
        self.opened = asyncio.Semaphore(0)
        self.closed = False

    async def open(self) -> int:
        await self.opened.acquire()
        return self.next_offset

    async def process(self, records: Sequence[Record]) -> None:
        self.taken.append([record.offset for record in records])
        await self.go.acquire()
        if records[0].value == b"bad":
            raise RuntimeError("ours")
        self.next_offset = records[-1].offset + 1

    async def close(self) -> None:
        self.closed = True


class World:
    def __init__(self) -> None:
        self.gates: dict[int, Gate] = {}
        self.failures: list[BaseException] = []
        self.lanes = Lanes(self.make, self.failures.append)

    async def make(self, number: int) -> Gate:
        return self.gates.setdefault(number, Gate(number))

    async def open(self, number: int = 0) -> Gate:
        gate = await self.make(number)
        gate.opened.release()
        assert await self.lanes.open(number) == gate.next_offset
        return gate


def batch(first: int, last: int, value: bytes = b"") -> list[Record]:
    return [Record(offset, 0, b"u:1", value) for offset in range(first, last)]


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_batches_go_one_at_a_time_and_a_full_lane_says_so() -> None:
    world = World()
    gate = await world.open()
    for n in range(DEPTH + 1):
        assert world.lanes.has_room(0)
        assert world.lanes.put(0, batch(n, n + 1)) is None
        await turns()
    assert not world.lanes.has_room(0)
    assert gate.taken == [[0]]
    gate.go.release()
    await world.lanes.wait_for_room(1)
    assert world.lanes.has_room(0)
    await turns()
    assert gate.taken == [[0], [1]]
    gate.go.release()
    gate.go.release()
    await turns()
    assert world.lanes.positions() == {0: 3}
    await world.lanes.close(0.02)
    assert gate.closed
    assert not world.failures


async def test_a_slow_shard_holds_no_other_up() -> None:
    world = World()
    slow, quick = await world.open(0), await world.open(1)
    quick.go = asyncio.Semaphore(100)
    for n in range(3):
        world.lanes.put(0, batch(n, n + 1))
        world.lanes.put(1, batch(n, n + 1))
        await turns()
    assert (len(slow.taken), quick.next_offset) == (1, 3)
    slow.go.release()
    await world.lanes.close(0.02)


async def test_a_hole_is_answered_with_the_offset_to_fetch_again() -> None:
    world = World()
    gate = await world.open()
    assert world.lanes.put(0, batch(0, 5)) is None
    assert world.lanes.put(0, batch(8, 9)) == 5
    assert world.lanes.put(0, batch(3, 8)) is None
    assert world.lanes.put(0, batch(8, 9)) is None
    for _ in range(HOLES_MAX):
        assert world.lanes.put(0, batch(20, 21)) == 9
    assert world.lanes.put(0, batch(20, 21)) is None, "the shard itself must tell what is lost"
    gate.go.release()
    await world.lanes.close(0.02)


async def test_what_process_raises_is_told_once_and_nothing_is_fed_after_it() -> None:
    world = World()
    gate = await world.open()
    gate.go = asyncio.Semaphore(100)
    world.lanes.put(0, batch(0, 1, b"bad"))
    world.lanes.put(0, batch(1, 2))
    await turns()
    assert [str(error) for error in world.failures] == ["ours"]
    assert gate.taken == [[0]]
    await world.lanes.close(0.02)


async def test_a_shard_asked_for_twice_at_once_is_opened_once() -> None:
    world = World()
    gate = await world.make(0)
    both = [asyncio.create_task(world.lanes.open(0)) for _ in range(2)]
    await turns()
    gate.opened.release()
    gate.opened.release()
    assert await asyncio.gather(*both) == [0, 0]
    assert not gate.opened.locked(), "a second opening would fence the first"
    assert [lane.shard for lane in world.lanes] == [gate]
    await world.lanes.close(0.02)


async def test_who_waits_to_open_a_shard_that_was_let_go_meanwhile_opens_none() -> None:
    world = World()
    slow, other = await world.make(0), await world.make(1)
    both = [asyncio.create_task(world.lanes.open(number)) for number in (0, 1)]
    await turns()
    await world.lanes.close(0.02)
    for gate in (slow, other):
        gate.opened.release()
    assert await asyncio.gather(*both) == [None, None]
    assert slow.closed
    assert not other.opened.locked(), "it may be another worker's by now"
    assert not list(world.lanes)


async def test_rest_waits_for_the_batch_in_flight_but_not_for_ever() -> None:
    world = World()
    gate = await world.open()
    world.lanes.put(0, batch(0, 1))
    world.lanes.put(0, batch(1, 2))
    await turns()
    asyncio.get_running_loop().call_later(0.02, gate.go.release)
    await world.lanes.rest(5)
    assert gate.next_offset == 1

    stuck = World()
    await stuck.open()
    stuck.lanes.put(0, batch(0, 1))
    await turns()
    await asyncio.wait_for(stuck.lanes.rest(0.02), 1)
    assert stuck.lanes.positions() == {0: 0}


async def test_a_shard_that_opens_after_the_close_is_let_go_of_at_once() -> None:
    world = World()
    opening = asyncio.create_task(world.lanes.open(0))
    await turns()
    await world.lanes.close(0.02)
    world.gates[0].opened.release()
    assert await opening is None
    assert world.gates[0].closed
    assert world.lanes.positions() == {}


async def test_opening_again_what_is_open_only_rewinds() -> None:
    world = World()
    gate = await world.open()
    world.lanes.put(0, batch(0, 5))
    world.lanes.put(0, batch(5, 9))
    gate.go.release()
    await turns()
    assert await world.lanes.open(0) == 5
    assert world.lanes.put(0, batch(5, 6)) is None
    gate.go.release()
    await world.lanes.close(0.02)


async def test_batches_of_a_shard_that_is_not_ours_are_dropped() -> None:
    world = World()
    assert world.lanes.put(3, batch(0, 1)) is None
    assert not world.lanes.has_room(3)
    with pytest.raises(KeyError):
        world.gates[3]
