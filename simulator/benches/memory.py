"""What a customer costs in Redis: blob and place among the timers, by MEMORY USAGE.

Must live here: the sum over all shards. Must not: log and outbox, which are trimmed. The stream is
the made-up shop's; LAIKE_BENCH_DATA names the folder of a replay to be measured instead.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

from redis import Redis
from rich.console import Console

from engine.logs import redis_server
from simulator.benches.parts import SHARDS, fill, last_line, made_up, place, program

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
    customers = total = 0
    for shard in range(SHARDS):
        names = list(redis.scan_iter(f"{{s{shard}}}:c:*", count=1_000))
        customers += len(names)
        for start in range(0, len(names), 1_000):
            pipe = redis.pipeline(transaction=False)
            for name in names[start : start + 1_000]:
                pipe.memory_usage(name)
            total += sum(pipe.execute())
        total += redis.memory_usage(f"{{s{shard}}}:timers", samples=0) or 0
    return {"bytes_a_customer": round(total / max(customers, 1)), "customers": customers}
