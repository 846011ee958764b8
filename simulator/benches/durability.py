"""What is lost when a log's server is killed -9 under load, by log and fsync setting.

Must live here: acknowledged appends, the kill, counting what is there after the restart. Must not:
the crash of a host, which no process can stand in for: what fsync left in the kernel's memory is
lost then, and that is told as a rule and not as a figure.

A disk that stalls makes the difference between the settings: a few lines of C, preloaded where
there is a compiler, have every fsync take STALL_SECONDS.
"""

import asyncio
import logging
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from redis import Redis
from rich.console import Console
from rich.table import Table

from engine.log import Log, LogAway
from engine.logs import broker, redis_server
from engine.logs.kafka import KafkaLog
from engine.logs.redis import RedisLog
from engine.records import Append

SHARDS = 4
TRIES, KAFKA_TRIES = 5, 3
BATCH = 20
LOAD_SECONDS = (1.0, 3.0)
STALL_SECONDS = 1.8
ANSWER_SECONDS = 8.0
FSYNC = ("always", "everysec", "no")
HOST = {
    "always": "nothing, if the disk keeps its word",
    "everysec": "up to 2 s of what was acknowledged",
    "no": "up to 30 s of what was acknowledged",
    "kafka": "seconds with one broker; nothing with 3 unless all fall at once",
}
_STALL_C = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int wait_then(const char *name, int fd) {
  usleep(%d);
  return ((int (*)(int)) dlsym(RTLD_NEXT, name))(fd);
}
int fsync(int fd) { return wait_then("fsync", fd); }
int fdatasync(int fd) { return wait_then("fdatasync", fd); }
"""

Row = dict[str, Any]


def measure(console: Console) -> dict[str, Any]:
    """Rows: log, fsync, disk, tries, events acknowledged and lost, and microseconds an event."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it says each try of a dead broker
    rows: list[Row] = []
    with _folder() as folder:
        stall = _stall(folder)
        for disk, preload in (("as it is", ""), ("stalls", stall)):
            if disk == "stalls" and not stall:
                console.print("  no C compiler: no stalling disk")
                continue
            for fsync in FSYNC:
                console.print(f"  redis, appendfsync {fsync}, the disk {disk}")
                rows.append(_sum("redis", fsync, disk, [_redis(fsync, preload)] * TRIES))
        if why := broker.missing():
            console.print(f"  kafka: {why}")
        else:
            console.print("  kafka, acks=all, one broker")
            rows.append(_kafka())
    _show(rows, console)
    return {"rows": rows}


def _sum(log: str, fsync: str, disk: str, tries: list[Callable[[], Row]]) -> Row:
    done = [one() for one in tries]
    acknowledged = sum(one["acknowledged"] for one in done)
    return {
        "log": log,
        "fsync": fsync,
        "disk": disk,
        "tries": len(done),
        "acknowledged": acknowledged,
        "lost": sum(one["lost"] for one in done),
        "lost_most_in_a_try": max(one["lost"] for one in done),
        "us_an_event": round(sum(one["seconds"] for one in done) / max(acknowledged, 1) * 1e6),
        "host_crash_by_rule": HOST["kafka" if log == "kafka" else fsync],
    }


def _redis(fsync: str, preload: str) -> Callable[[], Row]:
    def once() -> Row:
        with _folder() as folder:
            process = _start(folder, preload)
            url = redis_server.url(folder)
            redis_server.wait_ready(process, url)
            Redis.from_url(url).config_set("appendfsync", fsync)
            told = asyncio.run(_load(lambda: RedisLog(url, SHARDS), process))
            process = _start(folder, "")
            redis_server.wait_ready(process, url)
            kept = asyncio.run(_kept(RedisLog(url, SHARDS)))
            redis_server.stop(process)
            return {**told, "acknowledged": len(told["values"]), "lost": len(told["values"] - kept)}

    return once


def _start(folder: Path, preload: str) -> "subprocess.Popen[bytes]":
    if preload:
        os.environ["LD_PRELOAD"] = preload
    try:
        return redis_server.start(folder)
    finally:
        os.environ.pop("LD_PRELOAD", None)


def _kafka() -> Row:
    with _folder() as folder:
        node = broker.Broker(folder)
        node.wait_ready()
        port = int(node.bootstrap.rpartition(":")[2])
        numbers = iter(range(KAFKA_TRIES))

        def once() -> Row:
            nonlocal node
            url = f"kafka://{node.bootstrap}/t{next(numbers)}"
            told = asyncio.run(_load(lambda: KafkaLog(url, SHARDS), node.process))
            node = broker.Broker(folder, port)
            node.wait_ready()
            kept = asyncio.run(_kept(KafkaLog(url, SHARDS)))
            return {**told, "acknowledged": len(told["values"]), "lost": len(told["values"] - kept)}

        try:
            return _sum("kafka", "acks=all, 1 broker", "as it is", [once] * KAFKA_TRIES)
        finally:
            node.stop()


async def _load(connect: Callable[[], Log], server: "subprocess.Popen[bytes]") -> Row:
    """Append as fast as it is acknowledged, kill -9 at a random moment; what was acknowledged."""
    log, values, number = connect(), set[bytes](), 0
    await _patiently(log.ends)
    began = last = time.monotonic()
    killing = asyncio.get_running_loop().call_later(random.uniform(*LOAD_SECONDS), server.kill)
    with suppress(LogAway, TimeoutError):
        while not killing.cancelled():
            batch = [
                Append((number + i) % SHARDS, b"u:1", b"%d" % (number + i)) for i in range(BATCH)
            ]
            async with asyncio.timeout(ANSWER_SECONDS):  # Kafka's producer waits for ever
                await log.append(batch)
            number += BATCH
            values |= {item.value for item in batch}
            last = time.monotonic()
    with suppress(LogAway, OSError):
        await log.close()
    await asyncio.to_thread(server.wait)
    return {"values": values, "seconds": last - began}


async def _kept(log: Log) -> set[bytes]:
    """The values that are in the log."""
    kept = set[bytes]()
    for shard, end in enumerate(await _patiently(log.ends)):
        start = 0
        while start < end:
            found = await log.read(shard, start, 5_000)
            kept |= {record.value for record in found}
            start = found[-1].offset + 1
    await log.close()
    return kept


async def _patiently(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until there is an answer; a server that starts takes a while to know its topics."""
    while True:
        try:
            return await ask()
        except LogAway:
            await asyncio.sleep(0.2)


def _stall(folder: Path) -> str:
    """The preloaded library's path, "" where it cannot be made."""
    compiler = shutil.which("cc")
    if not compiler:
        return ""
    source, made = folder / "stall.c", folder / "stall.so"
    source.write_text(_STALL_C % round(STALL_SECONDS * 1e6))
    told = [compiler, "-shared", "-fPIC", "-o", str(made), str(source), "-ldl"]
    done = subprocess.run(told, capture_output=True, check=False)
    return "" if done.returncode else str(made)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="laike-dur-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _show(rows: list[Row], console: Console) -> None:
    table = Table(
        "log", "fsync", "disk", "tries", "acknowledged", "lost by kill -9", "most in a try",
        "us an event", "a host's crash (a rule, not measured)", box=None,
    )  # fmt: skip
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value)
                        for value in row.values()))  # fmt: skip
    console.print(table)
