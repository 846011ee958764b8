"""A bandit's whole way round: decisions, examples, learner, signed snapshot, record, new odds."""

import orjson
from redis.asyncio import Redis

from engine.learner import LearnerTask
from engine.records import MODEL as MODEL_RECORD
from engine.snapshots import WANTED
from engine.stores.redis import keys
from tests.memory_engine import DAY, HOUR, START, MemoryEngine
from tests.rule_texts import WHICH

SECRET = b"secret-of-the-tests"
SHARDS = 2


async def nowhere(rows: list[dict]) -> None:
    """Nobody looks at the figures."""


def carts(engine: MemoryEngine, at: int, first: int, many: int) -> None:
    for n in range(first, first + many):
        engine.send(
            at + n, "Product Added", userId=f"{n}", cart_id=f"c{n}", product_id="p", price=9
        )


async def learned(redis: Redis, engine: MemoryEngine) -> str:
    """All examples through the real learner; the version it wants."""
    for shard in range(SHARDS):
        for number, (_, body) in enumerate(engine.store.shard(shard).outbox):
            await redis.xadd(keys(shard)["outbox"], {"b": body}, id=f"{number + 1}-0")
    task = LearnerTask(redis, SHARDS, SECRET, nowhere)
    await task.restore()
    while await task.step():
        pass
    await task.publish()
    async for key in redis.scan_iter(match="laike:model:*"):
        name = key.decode().rpartition(":")[2]
        if len(name) == 64:
            engine.store.bodies["model", name] = await redis.get(key)
    return (await redis.get(WANTED)).decode()


async def test_what_pays_is_drawn_more_and_a_replay_draws_alike(redis: Redis) -> None:
    engine = MemoryEngine({"campaigns/which.yaml": WHICH}, shards=SHARDS)
    carts(engine, 0, 0, 200)
    await engine.run()
    for row in engine.decisions():
        assert (row["propensity"], row["model_version"]) == (0.5, "")
        if row["split"] == "told" and int(row["cid"][-1]) % 2:
            who = row["cid"].removeprefix("u:")
            engine.send(HOUR, "Order Paid", userId=who, order_id=f"o{who}", total=50)
    engine.tick(3 * DAY)
    await engine.run()
    digest = await learned(redis, engine)
    for shard in range(SHARDS):
        engine.append(shard, MODEL_RECORD, orjson.dumps({"hash": digest}), START + 3 * DAY)
    carts(engine, 3 * DAY + HOUR, 200, 100)
    await engine.run()
    late = [row for row in engine.decisions() if row["at"] > START + 3 * DAY]
    assert {row["model_version"] for row in late} == {digest}
    told = [row for row in late if row["split"] == "told"]
    assert len(told) > 80
    assert all(row["propensity"] > 0.8 for row in told)
    assert all(0.05 <= row["propensity"] < 0.2 for row in late if row["split"] == "nothing")

    again = MemoryEngine(shards=SHARDS, batch=7)
    again.store.bodies |= engine.store.bodies
    again.logs = engine.logs
    await again.run()
    assert again.decisions(acts=False) == engine.decisions(acts=False)
