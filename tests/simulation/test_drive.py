"""Record time, held against a worker of our own: the order of a step, restarts, kills, back-off."""

import asyncio
import json

import httpx
import pytest
from redis.asyncio import Redis

from engine.log import LogAway, LogFull
from engine.logs.redis import RedisLog
from engine.records import REJECTED, TICK, is_event
from features.events import decode
from simulator.doors import DoorShut, HttpDoor, LogDoor
from simulator.drive import POSITION, Position, drive, drive_now
from simulator.habits import DAY, HOUR, MINUTE
from simulator.stepping import OPEN_STEP, RecordClock, Stalled, append
from simulator.world import World
from tests.record_worker import SHARDS, started_parts  # noqa: F401 - a fixture

START = 1_767_542_400_000
STEP = 15 * MINUTE


class Diary:
    """A door that keeps what it is given."""

    def __init__(self, stop: asyncio.Event | None = None, after: int = 0) -> None:
        self.sent: list[tuple[int, list]] = []
        self.stop, self.after = stop, after

    async def send(self, items, now):
        self.sent.append((now, list(items)))
        if self.stop and len(self.sent) == self.after:
            self.stop.set()

    async def close(self):
        pass

    @property
    def ids(self) -> list[str]:
        return [item["messageId"] for _, items in self.sent for item in items]


def the_world() -> World:
    return World(4, 40, START, retries=0)


async def test_a_step_is_records_then_ticks_then_letters_all_committed(parts):
    redis, log, worker = parts
    worker.letters = 5
    until = START + 12 * HOUR
    clock = RecordClock(redis, log, worker.pending)
    done = await drive(the_world(), LogDoor(log), clock, from_ms=START, until=until, step_ms=HOUR)
    assert done.events_in == sum(len(the_world().step(START + h * HOUR, START + (h + 1) * HOUR)) for h in range(12)) > 10  # fmt: skip
    assert await worker.pending() == 0
    letters = 0
    for records in worker.seen:
        assert [record.log_time for record in records] == sorted(
            record.log_time for record in records
        )
        ticks = [json.loads(record.value)["at"] for record in records if record.key == TICK]
        assert ticks == [START + (hour + 1) * HOUR for hour in range(12)]
        end = START
        for record in records:
            if record.key == TICK:
                assert record.log_time == json.loads(record.value)["at"]
                end = record.log_time
            elif is_event(record.key):
                assert record.log_time == decode(record.value).at, "an event's log time is its own"
                assert end <= record.log_time < end + HOUR
            else:
                letters += 1
                assert record.log_time == end, "letters come at the end time of the step before"
    assert letters == 5
    assert await clock.now() == until
    assert not await redis.exists(OPEN_STEP)


async def test_it_stops_between_steps_and_goes_on_there(parts):
    redis, log, worker = parts
    until = START + DAY
    whole = Diary()
    await drive(
        the_world(), whole, RecordClock(redis, log, worker.pending), from_ms=START, until=until
    )
    stop = asyncio.Event()
    first = Diary(stop, after=40)
    done = await drive(the_world(), first, RecordClock(redis, log, worker.pending), from_ms=START, until=until, stop=stop)  # fmt: skip
    assert done.stopped
    assert len(first.sent) == 40
    at = await Position.load(redis)
    assert at == Position(4, 40, START, START + 40 * STEP)
    rest = Diary()
    done = await drive(World(at.seed, at.customers, at.start, retries=0), rest, RecordClock(redis, log, worker.pending), from_ms=at.now, until=until)  # fmt: skip
    assert not done.stopped
    assert first.ids + rest.ids == whole.ids


async def test_the_clock_never_goes_back(parts):
    redis, log, worker = parts
    clock = RecordClock(redis, log, worker.pending)
    await clock.open(START + DAY)
    await clock.close()
    again = RecordClock(redis, log, worker.pending)
    await again.open(START)
    await again.close()
    assert await again.now() == START + DAY
    assert int(await redis.get("{s2}:clock")) == START + DAY


async def test_without_a_worker_it_says_so(redis_empty):
    redis, log = Redis.from_url(redis_empty.url), RedisLog(redis_empty.url, SHARDS)

    async def none() -> int:
        return 0

    clock = RecordClock(redis, log, none, stalled_seconds=0.1)
    await clock.open(START)
    with pytest.raises(Stalled, match="is a worker running"):
        await clock.close()
    await log.close()
    await redis.aclose()


async def test_empty_steps_run_only_where_a_timer_is_due(parts):
    redis, log, worker = parts
    clock = RecordClock(redis, log, worker.pending)
    await redis.zadd("{s1}:timers", {"u:1": START + 10 * MINUTE + 1})

    async def fires():
        while await redis.zscore("{s1}:timers", "u:1") < START + 5 * HOUR:
            if any(r.key == TICK for r in worker.seen[1]):
                await redis.zadd("{s1}:timers", {"u:1": START + 5 * HOUR})
            await asyncio.sleep(0.001)

    task = asyncio.create_task(fires())
    ran = await clock.run_empty(START, START + 3 * HOUR, STEP)
    await task
    assert ran == 1
    assert [r.log_time for r in worker.seen[1] if r.key == TICK] == [START + STEP]
    assert await clock.run_empty(START + STEP, START + 3 * HOUR, STEP) == 0


async def test_people_are_told_what_was_decided_and_react_in_the_next_steps(parts):
    redis, log, worker = parts
    cid = "u:u100007"
    asked = 0

    async def decisions():
        nonlocal asked
        asked += 1
        actions = [{"kind": "notify", "name": "n", "via": ["push"]}]
        row = {
            "decision_id": f"D{asked:025d}",
            "cid": cid,
            "at": START,
            "result": "act",
            "actions": actions,
        }
        return [row] if asked == 1 else []

    door = Diary()
    clock = RecordClock(redis, log, worker.pending)
    await drive(
        the_world(), door, clock, from_ms=START, until=START + 2 * HOUR, decisions=decisions
    )
    told = [
        (now, i)
        for now, items in door.sent
        for i in items
        if i.get("event", "").startswith("Message ")
    ]
    assert told[0][0] == START + 2 * STEP
    assert all(item["userId"] == "u100007" for _, item in told)


async def test_wall_time_keeps_the_rate_and_counts_what_it_sent(redis_empty):
    redis = Redis.from_url(redis_empty.url)
    door, position = Diary(), Position(4, 40, START, START)
    loop = asyncio.get_running_loop()
    began = loop.time()
    done = await drive_now(the_world(), door, redis, position=position, rate=200, most=60)
    assert done.events_in == len(door.ids) == 60
    assert loop.time() - began > 0.2
    more = Diary()
    at = await Position.load(redis)
    await drive_now(the_world(), more, redis, position=at, most=40)
    every = Diary()
    await redis.delete(POSITION)
    await drive_now(the_world(), every, redis, position=Position(4, 40, START, START), most=100)
    assert door.ids + more.ids == every.ids
    await redis.aclose()


async def test_a_full_log_is_waited_for_and_a_bad_item_is_quarantined():
    class Full:
        shards = 2

        def __init__(self) -> None:
            self.got, self.refusals = [], [LogFull("full", retry_after=0), LogAway("away")]

        async def append(self, items):
            if self.refusals:
                raise self.refusals.pop(0)
            self.got += items

    log = Full()
    items = [
        {"type": "track", "event": "A", "userId": "u1", "messageId": "m1", "timestamp": START},
        {"type": "track", "userId": "u1", "messageId": "m2", "timestamp": START},
    ]
    await LogDoor(log).send(items, START)
    assert [record.key for record in log.got] == [b"u:u1", REJECTED]
    assert json.loads(log.got[1].value)["reason"] == "missing_event"
    log.refusals = [LogAway("gone")] * 99
    with pytest.raises(LogAway):
        await append(log, log.got, away_seconds=0.2)


async def test_the_http_door_waits_when_told_and_ends_on_a_wrong_key():
    answers = [(503, {}), (429, {"Retry-After": "0"}), (200, {}), (401, {})]
    bodies = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(
            (request.url.path, request.headers["Authorization"], json.loads(request.content))
        )
        code, headers = answers.pop(0)
        return httpx.Response(code, headers=headers, text="told")

    door = HttpDoor("http://laike", "key", transport=httpx.MockTransport(answer))
    await door.send([{"type": "track"}], START)
    assert len(bodies) == 3
    assert bodies[0][0] == "/v1/batch"
    assert bodies[0][1].startswith("Basic ")
    assert bodies[0][2] == {"batch": [{"type": "track"}], "sentAt": "2026-01-04T16:00:00.000Z"}
    with pytest.raises(DoorShut, match="401 told"):
        await door.send([{"type": "track"}], START)
    await door.close()
