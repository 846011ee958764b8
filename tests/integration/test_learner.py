"""The learner on a real Redis: killed at any of its steps, nothing is learned twice and none lost."""

import asyncio
import random

import msgspec
import orjson
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from engine.learner import LearnerTask
from engine.snapshots import HISTORY, KEPT, OWNER, PINS, WANTED, Snapshots
from engine.store import Fenced, ShardState
from engine.stores.redis import keys
from engine.versions import MADE, opened
from features.models.learners import LEARNERS
from features.models.purchase import INPUTS, MODEL, Scorer

SHARDS, SECRET = 2, b"secret-of-the-tests"


class Tally:
    """A model that keeps every example it heard: what was learned twice or lost is seen."""

    def __init__(self, heard=()):
        self.heard = list(heard)

    @property
    def examples(self):
        return len(self.heard)

    def learn(self, example):
        self.heard.append(int(example["n"]))

    def metrics(self):
        return {"sum": float(sum(self.heard))}

    def weights(self):
        return {"heard": self.examples} if self.heard else {}

    def state(self):
        return {"heard": self.heard}

    @classmethod
    def restore(cls, state):
        return cls(state["heard"])


class Killed(BaseException):
    """What kill -9 is to a task."""


class Mortal(Redis):
    """Dies at its Nth command: before it is sent, or after it was done and before it was heard."""

    left, done = 0, False

    async def dying(self, work):
        self.left -= 1
        if self.left == 0:
            if self.done:
                await work()
            raise Killed
        return await work()

    async def execute_command(self, *args, **options):
        return await self.dying(lambda: super(Mortal, self).execute_command(*args, **options))

    def pipeline(self, transaction=True, shard_hint=None):
        return MortalPipeline(self, transaction)


class MortalPipeline(Pipeline):
    def __init__(self, of, transaction):
        super().__init__(of.connection_pool, of.response_callbacks, transaction, None)
        self.of = of

    async def execute(self, raise_on_error=True):
        return await self.of.dying(lambda: super(MortalPipeline, self).execute(raise_on_error))


async def nowhere(rows):
    """Nobody looks at the figures."""


async def decided(redis, first, number, model="tally", **more):
    """So many examples, one a commit, over the shards' outboxes."""
    for n in range(first, first + number):
        body = {"log_time": n, "examples": [{"model": model, "n": n, **more}]}
        await redis.xadd(keys(n % SHARDS)["outbox"], {"b": orjson.dumps(body)}, id=f"{n + 1}-0")


def task(redis, publish=nowhere, kinds=None):
    return LearnerTask(redis, SHARDS, SECRET, publish, kinds or {"tally": Tally})


async def learned(redis):
    """What the wanted manifest says that was learned; and that its parts are all there."""
    store = Snapshots(redis, SHARDS, SECRET)
    wanted = (await redis.get(WANTED)).decode()
    manifest = await store.open(wanted)
    for digest in manifest["scorers"].values():
        await store.open(digest)
    return (await store.open(manifest["learners"]["tally"]))["state"]["heard"], manifest


async def live_and_die(redis, left, done):
    """Learn and publish twice, killed at a command; whether it came through."""
    client = Mortal(connection_pool=redis.connection_pool)
    client.left, client.done = left, done
    learner = task(client)
    try:
        await learner.restore()
        for _ in range(2):
            await learner.step()
            await learner.publish()
    except Killed:
        return False
    return True


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_killed_at_any_step_it_learns_each_example_once(redis, done):
    left, alive = 0, False
    while not alive:
        left += 1
        await redis.flushdb()
        await decided(redis, 0, 10)
        alive = await live_and_die(redis, left, done)
        await decided(redis, 10, 10)
        again = task(redis)
        await again.restore()
        while await again.step():
            pass
        await again.publish()
        heard, manifest = await learned(redis)
        assert sorted(heard) == list(range(20)), f"killed at command {left}"
        assert manifest["cursors"] == {"0": "19-0", "1": "20-0"}
        assert await redis.get(keys(0)["cursor"] + "learner") == b"19-0"
    assert left > 15


async def test_a_part_that_did_not_change_is_written_once(redis):
    await decided(redis, 0, 4)
    learner = task(redis, kinds={"tally": Tally, "idle": Tally})
    await learner.restore()
    await learner.step()
    await learner.publish()
    _, first = await learned(redis)
    await redis.set(f"laike:model:{first['learners']['idle']}", b"as it was")
    await decided(redis, 4, 4)
    await learner.step()
    await learner.publish()
    _, second = await learned(redis)
    assert first["learners"]["idle"] == second["learners"]["idle"]
    assert await redis.get(f"laike:model:{first['learners']['idle']}") == b"as it was"
    assert first["learners"]["tally"] != second["learners"]["tally"]
    assert "idle" not in second["scorers"]  # not fit to score: it has no weights


async def test_what_teaches_nothing_moves_the_cursors_and_makes_no_version(redis):
    await decided(redis, 0, 1)
    mine = task(redis)
    await mine.restore()
    await mine.step()
    await mine._look_round()
    assert await redis.get(f"{keys(0)['cursor']}learner") == b"0-0"  # it is not published yet
    await mine.publish()
    wanted = await redis.get(WANTED)
    await redis.xadd(keys(0)["outbox"], {"b": b'{"log_time": 5}'}, id="9-0")
    await mine.step()
    await mine._look_round()
    assert await redis.get(f"{keys(0)['cursor']}learner") == b"9-0"
    assert await redis.get(WANTED) == wanted
    await task(redis).restore()
    with pytest.raises(Fenced):
        await mine.snapshots.passed({"0": "99-0"})
    assert await redis.get(f"{keys(0)['cursor']}learner") == b"9-0"


async def test_it_ends_when_told_though_redis_is_away():
    async with Redis.from_url("redis://127.0.0.1:1") as away:
        stop = asyncio.Event()
        running = asyncio.create_task(task(away).run(stop))
        await asyncio.sleep(0.05)
        assert not running.done()
        stop.set()
        await asyncio.wait_for(running, 20)


async def test_old_versions_go_but_what_is_in_force_or_pinned_stays(redis):
    learner = task(redis)
    await learner.restore()
    digests = []
    for n in range(KEPT + 6):
        await decided(redis, n, 1)
        await learner.step()
        if n == 2:
            await redis.hset(PINS, "other", digests[1][1]["scorers"]["tally"])
        if n == 6:
            state = ShardState(model=digests[3][0])
            await redis.set(keys(0)["shard"], msgspec.msgpack.encode(state))
        await learner.publish()
        digests.append(((await redis.get(WANTED)).decode(), (await learned(redis))[1]))
    history = [name.decode() for name in await redis.lrange(HISTORY, 0, -1)]
    newest = [digest for digest, _ in reversed(digests)]
    assert history == [*newest[:KEPT], digests[3][0]]
    there = {name.decode().rpartition(":")[2] for name in await redis.keys("laike:model:*")}
    scorers = {one["scorers"]["tally"] for name, one in digests if name in history}
    states = {one["learners"]["tally"] for _, one in digests[-2:]}
    pinned = digests[1][1]["scorers"]["tally"]
    assert there - {"wanted", "pins", "told"} == {*history, *scorers, *states, pinned}


async def test_a_pin_puts_a_scorer_in_the_place_of_the_newest_until_it_is_let_go(redis):
    learner = task(redis)
    await learner.restore()
    await decided(redis, 0, 2)
    await learner.step()
    await learner.publish()
    _, first = await learned(redis)
    await redis.hset(PINS, "tally", first["scorers"]["tally"])
    await decided(redis, 2, 2)
    await learner.step()
    await learner.publish()
    heard, second = await learned(redis)
    assert len(heard) == 4  # it goes on learning
    assert second["scorers"] == first["scorers"]
    await redis.delete(PINS)
    await learner._look_round()
    _, third = await learned(redis)
    assert third["scorers"] != first["scorers"]


async def test_a_forged_manifest_is_refused_and_the_one_before_goes_on(redis, caplog):
    learner = task(redis)
    await learner.restore()
    for first in (0, 4):
        await decided(redis, first, 4)
        await learner.step()
        await learner.publish()
    wanted = (await redis.get(WANTED)).decode()
    body = await redis.get(f"laike:model:{wanted}")
    await redis.set(f"laike:model:{wanted}", body[:-3] + b"9" + body[-2:])
    again = task(redis)
    await again.restore()
    assert f"manifest {wanted[:12]} refused" in caplog.text
    assert sorted(again.models["tally"].heard) == [0, 1, 2, 3]
    await again.step()
    assert sorted(again.models["tally"].heard) == list(range(8))


async def test_a_forged_state_begins_its_model_anew_and_no_other(redis, caplog):
    kinds = {"tally": Tally, "other": Tally}
    learner = task(redis, kinds=kinds)
    await learner.restore()
    await decided(redis, 0, 4)
    await decided(redis, 4, 4, model="other")
    await learner.step()
    await learner.publish()
    _, manifest = await learned(redis)
    await redis.delete(f"laike:model:{manifest['learners']['other']}")
    again = task(redis, kinds=kinds)
    await again.restore()
    assert "other learns anew" in caplog.text
    assert again.models["other"].examples == 0
    assert again.models["tally"].heard == [0, 2, 1, 3]


async def test_a_bad_example_is_counted_and_passed(redis):
    rows = []

    async def publish(found):
        rows.extend(found)

    learner = task(redis, publish)
    await learner.restore()
    await decided(redis, 0, 2)
    await decided(redis, 2, 1, more={}, n="no number")
    await decided(redis, 3, 1, model="of a newer program")
    await learner.step()
    await learner.publish()
    heard, manifest = await learned(redis)
    assert sorted(heard) == [0, 1]
    assert manifest["figures"]["tally"] == {"sum": 1.0, "examples": 2, "refused": 1}
    assert ("tally", "refused", 1) in [(row["model"], row["metric"], row["value"]) for row in rows]
    again = task(redis)
    await again.restore()
    assert again.refused["tally"] == 1


async def test_of_two_learners_the_later_one_learns_and_the_first_writes_no_more(redis):
    await decided(redis, 0, 4)
    first, second = task(redis), task(redis)
    await first.restore()
    await first.step()
    await second.restore()
    with pytest.raises(Fenced):
        await first.publish()
    assert await redis.get(WANTED) is None
    await second.step()
    await second.publish()
    await first.restore()
    assert first.models["tally"].examples == 4
    with pytest.raises(Fenced):
        await second.snapshots.renew()
    assert not await second.snapshots.free()
    await redis.delete(OWNER)  # it was not heard of for half a minute
    assert await second.snapshots.free()


async def test_the_purchase_model_goes_on_to_the_bit_and_workers_score_by_it(redis):
    chance = random.Random(5)
    rows = [([chance.random() for _ in INPUTS], int(chance.random() < 0.4)) for _ in range(200)]

    async def told(first, number):
        for n in range(first, first + number):
            features, label = rows[n]
            await decided(redis, n, 1, MODEL, features=features, label=label, at=n)

    await told(0, 100)
    stopped = LearnerTask(redis, SHARDS, SECRET, nowhere)
    await stopped.restore()
    await stopped.step()
    await stopped.publish()
    stopped = LearnerTask(redis, SHARDS, SECRET, nowhere)
    await stopped.restore()
    await told(100, 100)
    await stopped.step()
    await stopped.publish()
    straight = LEARNERS[MODEL]()
    for half in (0, 100):
        for shard in range(SHARDS):
            for n in range(half + shard, half + 100, SHARDS):
                straight.learn({"features": rows[n][0], "label": rows[n][1], "at": n})
    assert stopped.models[MODEL].state() == straight.state()

    async def fetch(digest):
        return await redis.get(f"laike:model:{digest}")

    wanted = (await redis.get(WANTED)).decode()
    scorers = await MADE.of(wanted, SECRET, fetch)
    assert opened(await fetch(wanted), SECRET, wanted)["figures"][MODEL]["examples"] == 200
    assert scorers[MODEL].score(rows[0][0]) == Scorer(straight.weights()).score(rows[0][0])
