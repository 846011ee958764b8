"""What the benches share: a Redis of their own, made-up events in a log, rules to decide by.

Must live here: set-up. Must not: a figure.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import orjson
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from engine.logs import open_log, redis_server
from engine.records import RULES, Append
from engine.settings import Settings
from rules.load import book_from_sources, load_book
from simulator.doors import to_record
from simulator.world import World

SHARDS = 8
TIMED = (0.2, 0.7)  # the part of the events that a rate is taken of: at its end, too, all is busy
START = 1_767_571_200_000  # 2026-01-05, a Monday
DAY = 86_400_000
SECRET = b"a secret of the benches alone"
RULES_FOLDER = Path(__file__).parents[2] / "rules"
FOUR = ("cart-rescue", "browse-nudge", "win-back", "first-order-welcome")


@dataclass(frozen=True)
class Place:
    """A Redis and a folder of a bench's own."""

    folder: Path
    url: str

    @property
    def redis(self) -> "Redis":
        """A plain client."""
        return Redis.from_url(self.url)

    def settings(self, log: str | None = None) -> Settings:
        """An engine here, in record time, so that what is due fires by the events' own clock."""
        return Settings(
            data=self.folder, secret=SECRET, log=log or self.url, redis=self.url,
            shards=SHARDS, clock="record", rules=RULES_FOLDER,
        )  # fmt: skip


@contextmanager
def place() -> Iterator[Place]:
    """A fresh Redis, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="laike-bench-"))
    server = redis_server.start(folder)
    try:
        url = redis_server.url(folder)
        redis_server.wait_ready(server, url, folder / "redis.log")
        (folder / "secret").write_bytes(SECRET)
        yield Place(folder, url)
    finally:
        redis_server.stop(server)
        shutil.rmtree(folder, ignore_errors=True)


def made_up(events: int, customers: int = 4_000) -> list[Append]:
    """So many events of the made-up shop, as records of the log, in order of time."""
    world = World(seed=7, customers=customers, start_ms=START)
    records: list[Append] = []
    day = 0
    while len(records) < events:
        at = START + day * DAY
        records += [to_record(i, SHARDS, "bench", at + DAY) for i in world.step(at, at + DAY)]
        day += 1
    return records[:events]


def four_rules() -> dict[str, str]:
    """The sources of four shipped campaigns and what they name: the rules the benches decide by.

    Without their budgets: those speak by letters, which the benches carry to nobody.
    """
    sources = load_book(RULES_FOLDER).sources
    left_out = re.compile(rf"segments/|campaigns/(?!({'|'.join(FOUR)})[.])")
    kept = {path: text for path, text in sources.items() if not left_out.match(path)}
    return {path: re.sub(r"(?m)^budget:.*\n", "", text) for path, text in kept.items()}


def publish_rules(where: Place) -> str:
    """Have the body of the four rules in Redis; their hash."""
    sources = four_rules()
    digest = book_from_sources(sources).hash
    where.redis.set(f"laike:rules:{digest}", orjson.dumps(sources))
    return digest


async def fill(where: Place, records: Sequence[Append], log_url: str | None = None) -> None:
    """Publish the four rules; append their version and the records, if there are any."""
    digest = publish_rules(where)
    for shard in range(SHARDS):
        where.redis.set(f"{{s{shard}}}:clock", START + 365 * DAY)
    redis = AsyncRedis.from_url(where.url)
    log = open_log(log_url or where.url, redis=redis, shards=SHARDS, record=True)
    first = orjson.dumps({"hash": digest})
    try:
        if records:
            await log.append([Append(shard, RULES, first, START) for shard in range(SHARDS)])
        for start in range(0, len(records), 2_000):
            await log.append(records[start : start + 2_000])
    finally:
        await log.close()
        await redis.aclose()


def program(
    module: str, *arguments: str, environment: dict[str, str], output: Path | None = None
) -> "subprocess.Popen[str]":
    """Start `python -m module` of this project; what it says goes to pipes, or to `output`."""
    with output.open("w") if output else nullcontext(subprocess.PIPE) as to:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments], env={**os.environ, **environment},
            stdout=to, stderr=to, text=True,
            preexec_fn=redis_server.die_with_parent,  # noqa: PLW1509 - one prctl
        )  # fmt: skip


def last_line(process: "subprocess.Popen[str]", seconds: float) -> dict[str, float]:
    """Wait for the process to end and read what it measured."""
    out, errors = process.communicate(timeout=seconds)
    if process.returncode:
        raise RuntimeError(f"a bench's process ended with {process.returncode}: {errors[-2000:]}")
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return found


def median(values: Sequence[float]) -> float:
    """The median, to three figures."""
    return float(f"{statistics.median(values):.3g}")


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Of values in order, to a tenth; None of none.

    >>> percentile(range(1, 101), 99)
    99.0
    """
    if not ordered:
        return None
    return round(float(ordered[(len(ordered) - 1) * percent // 100]), 1)
