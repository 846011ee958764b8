"""Model snapshots through a real worker: what is not ours, or is no model, changes nothing."""

import hashlib

import msgspec
import orjson
import redis.asyncio as aioredis

from engine.logs.redis import RedisLog
from engine.records import MODEL as MODEL_RECORD
from engine.records import Append
from engine.store import ShardState
from engine.stores.redis import keys
from features.models.purchase import INPUTS, MODEL
from features.models.snapshot import _sign, pack
from tests.fixtures_stack import SHARDS
from tests.patience import until

GOOD = {
    "model": MODEL, "intercept": -1.5, "weights": dict.fromkeys(INPUTS, 0.25),
    "means": dict.fromkeys(INPUTS, 0.5), "variances": dict.fromkeys(INPUTS, 2.0),
}  # fmt: skip
read = msgspec.msgpack.Decoder(ShardState).decode


def signed(secret, body):
    """What whoever holds the secret could sign, be it JSON or not."""
    return _sign(body, secret) + b"." + body


def bad(good, secret):
    """Bytes that are not what was signed, or no JSON of ours."""
    return {
        "one bit changed": good[:-3] + bytes([good[-3] ^ 1]) + good[-2:],
        "another's signature": pack({"scorers": {}}, b"another installation's"),
        "a signature of other content": good[:65] + orjson.dumps({"scorers": {}}),
        "cut short": good[:-10],
        "no signature": good[65:],
        "a pickle": b"\x80\x04\x95\x1b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        "nothing": b"",
        "a list": signed(secret, b"[]"),
        "not ours": pack({"kind": "rules"}, secret),
    }  # fmt: skip


def bad_parts(secret):
    """Scorers that must not come into force, signed or not, and why."""
    good = part(GOOD, secret)
    weights = {**GOOD, "weights": {**GOOD["weights"], INPUTS[0]: None}}
    return bad(good, secret) | {
        "NaN in JSON": signed(secret, good[65:].replace(b"-1.5", b"NaN")),
        "null, as orjson writes NaN": part(weights, secret),
        "infinite": signed(secret, good[65:].replace(b"-1.5", b"1e308")
                           .replace(b"0.25", b"-1e308").replace(b"2.0", b"1e-300")),
        "text for a number": part({**GOOD, "intercept": "9"}, secret),
        "of another model": pack({"model": "other", "weights": GOOD}, secret),
        "another model's weights": part({**GOOD, "model": "other"}, secret),
        "no weights": part({}, secret),
    }  # fmt: skip


async def keep(redis, body, digest=""):
    digest = digest or hashlib.sha256(body).hexdigest()
    await redis.set(f"laike:model:{digest}", body)
    return digest


def part(weights, secret):
    return pack({"model": MODEL, "weights": weights}, secret)


def manifest(digest):
    return {"scorers": {MODEL: digest}, "learners": {}, "cursors": {}, "log_time": 0, "figures": {}}


async def states(redis):
    found = await redis.mget([keys(shard)["shard"] for shard in range(SHARDS)])
    return [read(state) if state else ShardState() for state in found]


async def test_only_a_model_of_ours_comes_into_force(stack, capsys):
    secret = stack.settings.secret
    redis = aioredis.Redis.from_url(stack.settings.redis)
    log = RedisLog(stack.settings.log, SHARDS)

    async def published(weights):
        scorer = await keep(redis, part(weights, secret))
        return await keep(redis, pack(manifest(scorer), secret))

    good = pack(manifest(await keep(redis, part(GOOD, secret))), secret)
    forged = {why: await keep(redis, body) for why, body in bad(good, secret).items()}
    for why, body in bad_parts(secret).items():
        named = manifest(await keep(redis, body))
        forged[f"a part: {why}"] = await keep(redis, pack(named, secret))
    forged["a part that is nowhere"] = await keep(redis, pack(manifest("0" * 64), secret))
    other = await keep(redis, part({**GOOD, "intercept": 3.0}, secret), "1" * 64)
    forged["a part under another's name"] = await keep(redis, pack(manifest(other), secret))

    async def in_force(digest):
        return {state.model for state in await states(redis)} == {digest}

    async def wanted(digest):
        """As the learner publishes: the worker asks each of its shards for it."""
        await redis.set("laike:model:wanted", digest)
        await until(lambda: in_force(digest))
        return digest

    await stack.put_in_place()
    async with stack.worker() as worker:
        old = await wanted(await published(GOOD))
        for digest in forged.values():
            asked = orjson.dumps({"hash": digest})
            await log.append([Append(shard, MODEL_RECORD, asked) for shard in range(SHARDS)])
        await stack.drained()
        assert await in_force(old)
        assert worker.poll() is None
        await wanted(await published({**GOOD, "intercept": 0.5}))
    await log.close()
    await redis.aclose()
    told = capsys.readouterr().err
    for why, digest in forged.items():
        assert told.count(f"model {digest[:12]} refused") == SHARDS, why
    assert "Traceback" not in told
    assert secret.decode() not in told
