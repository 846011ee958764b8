"""The birth record: which log, how many shards, which clock this state belongs to.

Must live here: writing it once and refusing what does not match. Must not: repairing anything; the
message names the repair. State decided from one log must never be carried on with another.
"""

import secrets
from typing import Any

import orjson

from engine.log import Log
from engine.store import Position, Stopped
from engine.stores.redis import keys

KEY = "laike:birth"
HASH = "murmur2"


async def check(redis: Any, log: Log, *, identity: str, shards: int, clock: str) -> str:
    """Write the birth record where there is none, else compare; returns the data's id.

    `identity` is the log's own (a Kafka cluster and topic id, or the Redis log's). `Stopped` when
    something does not belong together.
    """
    wanted = {"log": identity, "shards": shards, "hash": HASH, "clock": clock}
    born = {**wanted, "data": secrets.token_hex(8)}
    await redis.set(KEY, orjson.dumps(born), nx=True)
    found = orjson.loads(await redis.get(KEY))
    for name, value in wanted.items():
        if found.get(name) != value:
            raise Stopped(
                f"this Redis was born with {name} = {found.get(name)!r}, but the engine was "
                f"started with {value!r}. Start it with the settings it was born with, or with "
                "an empty Redis and a new data folder."
            )
    await _compare_offsets(redis, log, shards)
    return str(found["data"])


async def _compare_offsets(redis: Any, log: Log, shards: int) -> None:
    # Positions first: another worker may decide a record that comes in between the two reads.
    positions = await redis.mget([keys(shard)["next"] for shard in range(shards)])
    ends = await log.ends()
    for shard, (position, end) in enumerate(zip(positions, ends, strict=True)):
        offset = Position.parse(position).offset
        if offset > end:
            raise Stopped(
                f"shard {shard}: Redis has decided up to offset {offset}, but the log ends at "
                f"{end}: the log was recreated or lost its tail. Restore the log, or start anew "
                "with an empty Redis and a new data folder."
            )
