"""A model that errs more: the learner finds it, the log carries it, a rule alerts its owners."""

import random
import time

import orjson
import redis.asyncio as aioredis

from engine.drifting import records_of
from engine.learner import LearnerTask
from engine.log import LogAway
from engine.logs.redis import RedisLog
from engine.shards import partition
from engine.snapshots import WANTED
from engine.stores.redis import keys
from features.events import decode
from features.models.purchase import INPUTS, MODEL
from tests.fixtures_stack import SHARDS

SECRET = b"secret-of-the-tests"


def examples(number, *, turned, seed=4):
    """Who looked often buys; once it has turned, who did not."""
    chance = random.Random(seed)
    for n in range(number):
        features = [chance.random() for _ in INPUTS]
        yes = (features[3] > 0.7) != turned
        yield {"model": MODEL, "features": features, "label": int(yes), "at": 1_767_571_200_000 + n}


async def decided(redis, many, number):
    """An entry before all that a worker will write."""
    body = {"log_time": round(time.time() * 1_000), "examples": list(many)}
    await redis.xadd(keys(0)["outbox"], {"b": orjson.dumps(body)}, id=f"0-{number}")


async def nowhere(_rows):
    """Nobody looks at the figures."""


async def drifted(redis, tell):
    """A learner whose model has just been found to err more."""
    learner = LearnerTask(redis, SHARDS, SECRET, nowhere, tell=tell)
    await learner.restore()
    await decided(redis, examples(2_000, turned=False), 1)
    await learner.step()
    await learner.publish()
    await decided(redis, examples(600, turned=True), 2)
    await learner.step()
    return learner


async def test_an_alarm_is_told_once_its_manifest_is_durable_and_until_the_log_has_it(redis):
    heard, away = [], True

    async def tell(records):
        assert await redis.get(WANTED)
        if away:
            raise LogAway("not now")
        heard.extend(records)

    learner = await drifted(redis, tell)
    (alarm,) = learner.alarms
    assert heard == []
    await learner.publish()
    assert learner.alarms == [alarm]
    again = LearnerTask(redis, SHARDS, SECRET, nowhere, tell=tell)  # killed before it was told
    await again.restore()
    assert again.alarms == [alarm]
    away = False
    await again.publish()
    assert again.alarms == []
    (record,), (same,) = heard, records_of([alarm], SHARDS)
    event = decode(record.value)
    assert event == decode(same.value)
    assert (event.name, record.key) == ("Model Drifted", f"model:{MODEL}".encode())
    assert event.properties["after"] > event.properties["before"]
    await again.publish()
    assert len(heard) == 1
    figures = (await again.snapshots.history())[0].manifest["figures"][MODEL]
    assert figures["drifts"] == 1


async def test_a_rule_alerts_the_models_owners(stack):
    redis = aioredis.Redis.from_url(stack.settings.redis)
    log = RedisLog(stack.settings.log, SHARDS)

    async def tell(records):
        await log.append(records)
        await log.append(records)  # as one who was killed before he knew that it was there

    await stack.put_in_place()
    where = keys(partition(f"model:{MODEL}".encode(), SHARDS))["outbox"]
    learner = await drifted(redis, tell)
    await learner.publish()
    async with stack.worker():
        await stack.drained()
        entries = [orjson.loads(fields[b"b"]) for _, fields in await redis.xrange(where)]
    await log.close()
    await redis.aclose()
    (row,) = [row for entry in entries for row in entry.get("decisions", ())]
    assert (row["rule"], row["result"], row["cid"]) == ("model-drift", "act", f"model:{MODEL}")
    assert [one["kind"] for one in row["actions"]] == ["alert", "task"]
    alert = row["actions"][0]
    assert alert["to"] == "data"
    assert alert["reads"]["drift.model"] == MODEL
    assert alert["reads"]["drift.after"] > alert["reads"]["drift.before"]
