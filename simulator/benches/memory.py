"""What a customer costs in Redis: blob, place among the timers and indexes, by MEMORY USAGE.

Must live here: the sum over every key of the shards but log and outbox, which are trimmed. Must
not: what is held once an installation. The stream is the made-up shop's; LAIKE_BENCH_DATA names the
folder of a replay to be measured instead.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

from redis import Redis
from rich.console import Console

from engine.logs import redis_server
from engine.stores.redis import keys
from simulator.benches.parts import SHARDS, fill, last_line, made_up, place, program
from sinks.outbox import OUTBOX, OUTCOMES, stream_key

EVENTS = 60_000


def measure(console: Console) -> dict[str, Any]:
    """Bytes a customer on average, and how many customers there were."""
    if named := os.environ.get("LAIKE_BENCH_DATA"):
        return _of_folder(Path(named))
    with place() as here:
        console.print(f"  deciding {EVENTS:,} made-up events")
        asyncio.run(fill(here, made_up(EVENTS)))
        environment = here.settings().environment()
        arguments = ("engine", here.url, str(EVENTS))
        last_line(program("simulator.benches.measured", *arguments, environment=environment), 300)
        return _sum(here.redis)


def _of_folder(data: Path) -> dict[str, Any]:
    """The Redis of a folder whose engine does not run, started for this alone."""
    server = redis_server.start(data / "redis")
    try:
        url = redis_server.url(data / "redis")
        redis_server.wait_ready(server, url)
        return _sum(Redis.from_url(url))
    finally:
        redis_server.stop(server)


def _sum(redis: Any) -> dict[str, Any]:
    customers = blobs = others = 0
    for shard in range(SHARDS):
        names = list(redis.scan_iter(f"{{s{shard}}}:*", count=1_000))
        held = [name for name in names if name not in _streams(shard)]
        whose = [name.startswith(keys(shard)["customer"].encode()) for name in held]
        for start in range(0, len(held), 1_000):
            pipe = redis.pipeline(transaction=False)
            for name in held[start : start + 1_000]:
                pipe.memory_usage(name, samples=0)
            sizes = pipe.execute()
            of_customers = sum(s for s, his in zip(sizes, whose[start:], strict=False) if his)
            blobs += of_customers
            others += sum(sizes) - of_customers
        customers += sum(whose)
    return {
        "bytes_a_customer": round((blobs + others) / max(customers, 1)),
        "of_these_blobs": round(blobs / max(customers, 1)),
        "customers": customers,
    }


def _streams(shard: int) -> frozenset[bytes]:
    return frozenset(stream_key(shard, name).encode() for name in ("log", OUTBOX, OUTCOMES))
