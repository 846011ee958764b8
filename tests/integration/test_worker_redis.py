"""The worker on the Redis log: whole batches, our own offsets, one owner, a clean end."""

import asyncio
import json
import signal

from engine.logs.batches import BATCH_RECORDS
from engine.logs.redis import RedisLog
from engine.records import Append
from tests.fixtures_logs import RedisProcess
from tests.fixtures_workers import SHARDS, Start, end, items, once_each, seen
from tests.patience import SECONDS, until


async def test_batches_arrive_and_a_restart_goes_on_where_it_was(
    start_worker: Start, log: RedisLog, redis_empty: RedisProcess
) -> None:
    await log.append(items(0, 5000))
    with redis_empty.client() as client:
        client.set("laike:rules:wanted", "abc")
        worker = start_worker()
        await until(lambda: len(seen(client)) == 5000)
        await log.append(items(5000, 6000))
        await until(lambda: len(seen(client)) == 6000)
        await until(lambda: client.exists("laike:worker:0") and client.get("ticks"))
        beat = json.loads(client.get("laike:worker:0"))
        assert beat["pid"] == worker.pid
        assert beat["shards"] == [0, 1, 2, 3]
        await until(lambda: client.llen("asked") == SHARDS)
        code, told = end(worker)
        assert code == 0, told
        assert "Traceback" not in told
        assert not client.exists("laike:worker:0")
        assert client.llen("closed") == SHARDS

        await log.append(items(6000, 7000))
        worker = start_worker()
        await until(lambda: len(seen(client)) == 7000)
        assert end(worker, signal.SIGINT)[0] == 0
        assert seen(client) == once_each(7000)


async def test_killed_again_and_again_nothing_is_lost_or_counted_twice(
    start_worker: Start, log: RedisLog, redis_empty: RedisProcess
) -> None:
    many = SHARDS * (BATCH_RECORDS + 1_000)  # two batches a shard: killed between them
    with redis_empty.client() as client:
        for n in range(2):
            await log.append(items(n * many, n * many + many))
            worker = start_worker(COUNTING_SECONDS="0.05")
            await until(lambda n=n: len(seen(client)) > n * many + 1000)
            worker.kill()
            worker.wait()
        worker = start_worker()
        await until(
            lambda: worker.pid == json.loads(client.get("laike:worker:0") or "{}").get("pid")
        )
        await until(lambda: len(seen(client)) == 2 * many)
        assert end(worker)[0] == 0
        assert seen(client) == once_each(2 * many)


async def test_two_workers_split_the_shards(
    start_worker: Start, log: RedisLog, redis_empty: RedisProcess
) -> None:
    workers = [start_worker(LAIKE_WORKER_COUNT="2", LAIKE_WORKER_INDEX=str(n)) for n in range(2)]
    await log.append(items(0, 4000))
    with redis_empty.client() as client:
        await until(lambda: len(seen(client)) == 4000)
        await until(lambda: client.exists("laike:worker:0", "laike:worker:1") == 2)
        assert json.loads(client.get("laike:worker:0"))["shards"] == [0, 2]
        assert json.loads(client.get("laike:worker:1"))["shards"] == [1, 3]
        assert [end(worker)[0] for worker in workers] == [0, 0]
        assert seen(client) == once_each(4000)


async def test_a_second_claimant_is_refused_and_told_who_holds_it(
    start_worker: Start, redis_empty: RedisProcess
) -> None:
    first = start_worker()
    with redis_empty.client() as client:
        await until(lambda: client.exists("laike:worker:0"))
        second = start_worker()
        _, told = await asyncio.to_thread(second.communicate, timeout=SECONDS)
        assert second.returncode == 3
        assert f"shard 0 is held by worker 0 (pid {first.pid} on " in told
        assert "Traceback" not in told
        assert first.poll() is None
        assert end(first)[0] == 0
        assert not client.exists("{s0}:lease")


async def test_a_taken_owner_token_ends_the_worker_in_one_line(
    start_worker: Start, log: RedisLog, redis_empty: RedisProcess
) -> None:
    worker = start_worker()
    with redis_empty.client() as client:
        await until(lambda: client.get("ticks"))
        client.set("{s1}:owner", "another")
        await log.append(items(0, 8))
        _, told = await asyncio.to_thread(worker.communicate, timeout=SECONDS)
        assert worker.returncode == 3
        assert "the worker stops: shard 1: fenced" in told
        assert "the worker has stopped: shard 1: fenced" in told.splitlines()[-1]
        assert "Traceback" not in told


async def test_an_error_of_ours_ends_the_worker_and_commits_nothing_after_it(
    start_worker: Start, log: RedisLog, redis_empty: RedisProcess
) -> None:
    await log.append([Append(2, b"u:1", b"poison"), Append(2, b"u:1", b"after")])
    worker = start_worker()
    _, told = await asyncio.to_thread(worker.communicate, timeout=SECONDS)
    assert worker.returncode == 3
    assert "a bug of ours" in told.splitlines()[-1]
    with redis_empty.client() as client:
        assert client.get("{s2}:count_next") is None
        assert seen(client) == {}


async def test_a_redis_that_goes_and_comes_back_is_waited_for(
    start_worker: Start, log: RedisLog, redis_empty: RedisProcess
) -> None:
    worker = start_worker()
    with redis_empty.client() as client:
        await log.append(items(0, 2000))
        await until(lambda: len(seen(client)) == 2000)
    redis_empty.kill()
    await asyncio.sleep(1.5)
    redis_empty.restart()
    await log.append(items(2000, 4000))
    with redis_empty.client() as client:
        await until(lambda: len(seen(client)) == 4000)
        assert end(worker)[0] == 0
        assert seen(client) == once_each(4000)
