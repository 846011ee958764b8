"""Replay: the same records of the log whether in one go, in parts, stopped, or sent again."""

import asyncio
import csv
from datetime import UTC, datetime
from pathlib import Path

from engine.records import REJECTED, TICK, is_event
from features.events import decode
from simulator.habits import HOUR, MINUTE
from simulator.replay import File, replay
from tests.record_worker import SHARDS, started_parts  # noqa: F401 - a fixture

START = 1_511_658_000_000  # 2017-11-26 01:00 UTC
HEADER = ["ts", "event", "user_id", "item_id", "category_id"]


def written(tmp_path: Path) -> Path:
    """Three hours: busy, then nothing, then one bad row among the good."""
    times = [*range(0, 600, 7), *range(3 * 3_600, 3 * 3_600 + 200, 11)]
    rows = [
        [
            datetime.fromtimestamp(START / 1000 + t, UTC).isoformat(),
            "product_viewed",
            f"u{t % 13}",
            f"i{t}",
            "c",
        ]
        for t in times
    ]
    rows[5][1] = "product_eaten"
    path = tmp_path / "views.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


class Shards:
    """What came into the shards since the last look, without what their row says they have had."""

    def __init__(self, worker) -> None:
        self.worker = worker

    def applied(self) -> list[list[tuple]]:
        found = []
        for records in self.worker.seen:
            last, kept = 0, []
            for record in records:
                if is_event(record.key):
                    row = decode(record.value).row[1]
                    if row <= last:
                        continue
                    last = row
                    kept.append((record.log_time, row))
                elif record.key == TICK:
                    kept.append((record.log_time, "tick"))
            found.append(kept)
        return found


async def fresh(redis, worker) -> None:
    worker.pause = True
    await asyncio.sleep(0.02)
    await redis.flushall()
    worker.seen = [[] for _ in range(SHARDS)]
    worker.pause = False


async def test_one_go_two_halves_a_stop_and_a_repeat_leave_the_same(parts, tmp_path):
    redis, log, worker = parts
    file = File(written(tmp_path))

    async def send(**given):
        return await replay(file, log=log, redis=redis, letters=worker.pending, **given)

    one = await send()
    rows = file.survey.rows
    assert (one.events_in, one.rejected, one.resent, one.stopped) == (rows, 1, 0, False)
    assert one.now == START + 3 * HOUR + 4 * MINUTE
    assert one.steps == 14, "ten busy minutes and four; the empty ones between need no step"
    whole = Shards(worker).applied()
    for shard in whole:
        times = [at for at, _ in shard]
        assert times == sorted(times)
        assert shard[-1] == (one.now, "tick")
    assert sum(is_event(record.key) for shard in worker.seen for record in shard) == rows - 1
    assert sum(record.key == REJECTED for shard in worker.seen for record in shard) == 1
    for records in worker.seen:
        for record in records:
            if is_event(record.key):
                assert record.log_time == decode(record.value).at

    again = await send()
    assert (again.events_in, again.resent, again.steps, again.now) == (rows, rows, 0, one.now)
    assert Shards(worker).applied() == whole, "sent again, all is dropped"

    await fresh(redis, worker)
    half = await send(until="2017-11-26T01:05:30")
    assert half.now == START + 5 * MINUTE, "the last whole step"
    assert half.events_in < rows
    rest = await send()
    assert rest.resent == half.events_in
    assert rest.events_in == rows
    assert Shards(worker).applied() == whole

    await fresh(redis, worker)
    stop, told = asyncio.Event(), []

    def progress(done: int, of: int) -> None:
        told.append((done, of))
        if len(told) == 4:
            stop.set()

    cut = await send(stop=stop, progress=progress)
    assert cut.stopped
    assert 0 < cut.events_in < rows
    assert all(of == rows for _, of in told)
    await send()
    assert Shards(worker).applied() == whole


async def test_a_timer_in_an_empty_stretch_gets_its_step(parts, tmp_path):
    redis, log, worker = parts
    due = START + HOUR + 90_000
    file = File(written(tmp_path))
    await redis.zadd("{s0}:timers", {"u:u1": due})

    async def fire():
        while not any(  # noqa: ASYNC110 - the worker knows no event of ours
            r.key == TICK and r.log_time >= due for r in worker.seen[0]
        ):
            await asyncio.sleep(0.001)
        await redis.delete("{s0}:timers")

    firing = asyncio.create_task(fire())
    result = await replay(file, log=log, redis=redis, letters=worker.pending)
    await firing
    assert START + HOUR + 2 * MINUTE in [r.log_time for r in worker.seen[2] if r.key == TICK]
    assert result.steps >= 15


async def test_until_beyond_the_data_runs_what_is_due_by_then(parts, tmp_path):
    redis, log, worker = parts
    result = await replay(
        File(written(tmp_path)),
        log=log,
        redis=redis,
        letters=worker.pending,
        until=START + 24 * HOUR,
    )
    assert result.now == START + 24 * HOUR
    assert not result.stopped


async def test_pace_holds_the_steps_back(parts, tmp_path):
    redis, log, worker = parts
    loop = asyncio.get_running_loop()
    began = loop.time()
    await replay(
        File(written(tmp_path)),
        log=log,
        redis=redis,
        letters=worker.pending,
        pace=600,
        until=START + 10 * MINUTE,
    )
    assert loop.time() - began > 0.85
