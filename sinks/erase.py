"""The eraser: what a commit says is erased goes from every store, and a report says from which.

Must live here: the steps and their order. Must not: jobs (erase_jobs), tables (erase_tables).
The state is gone by then and a tombstone is there (engine.erasure). A job is done step by step,
each of which may be done twice; where it stands is in Redis, so a crash costs nothing:

    laike:erasing        a hash of open jobs, by erasure id; the only place that names the ids
    laike:erasure:<id>   what GET /v1/erasures/<id> answers; for a year

    keys    the customer's keys are destroyed: what was sealed for him is unreadable from now on
    stones  the tombstones are written to ClickHouse, where they outlive a lost Redis
    passed  every sink has carried what stood before the erasure to where it is erased from
    rows    his rows go from every table
    files   his lines in the log channel's files are overwritten
    log     his records have been trimmed, his entries go from outboxes and outcomes
    parts   ClickHouse has let go of the files that held his rows
    redis   Redis has written its file anew

On Kafka the log's own retention ends his records, whose contacts nobody can read any more; the
report says so.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.erasure import tombstone
from engine.keys import Keys
from engine.keystores import KeysAway, rewrite
from engine.log import Log, LogAway
from engine.records import TICK, Append
from engine.settings import Settings
from engine.store import Position
from sinks.erase_jobs import JOBS, Job, read_job
from sinks.erase_tables import (
    Whom,
    erase_rows,
    last_mutations,
    let_go,
    parts_left,
    remember,
    text_marks,
)
from sinks.outbox import (
    AGAIN,
    OUTBOX,
    OUTCOMES,
    SINKS,
    EntryId,
    Reader,
    cursor_key,
    next_key,
    stream_key,
)
from sinks.relay_loop import Tally, stopped_within
from sinks.trim import LEARNER

REPORT: Final = "laike:erasure:"
REPORT_SECONDS: Final = 366 * 86_400
EVERY_SECONDS: Final = 0.5
LET_GO_SECONDS: Final = 5.0  # between two askings of ClickHouse for its old parts
JOBS_AT_ONCE: Final = 100
PAGE: Final = 200
STEPS: Final = ("keys", "stones", "passed", "rows", "files", "log", "parts", "redis")
ERASED_LINE: Final = b'{"erased":true}'
logger = logging.getLogger("laike.sinks")


class Eraser:
    """The jobs at work."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        log: Log,
        keys: Keys,
        connect: Callable[[], Client],
        tally: Tally,
    ) -> None:
        self.settings = settings
        self.redis: Any = redis  # its stubs say bytes or str; ours decodes nothing
        self.log = log
        self.keys = keys
        self.tally = tally
        self._connect = connect
        self._client: Client | None = None
        self._let_go_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; what is away only means that it is done later."""
        while not await stopped_within(stop, EVERY_SECONDS):
            try:
                await self.once()
            except (RedisError, LogAway, KeysAway, ClickHouseError, OSError) as away:
                self._client = None
                self.tally.failed(away)
            except Exception:  # an erasure must not end the relay; it is tried again
                logger.exception("an erasure does not come forward")

    async def once(self) -> None:
        """Bring every open job as far forward as it goes now."""
        found = await self.redis.hgetall(JOBS)
        jobs = [read_job.decode(body) for body in list(found.values())[:JOBS_AT_ONCE]]
        jobs = [job for job in jobs if job.ready or job.step > STEPS.index("rows")]
        for number, name in enumerate(STEPS):
            at_it = [job for job in jobs if job.step == number]
            if not at_it:
                continue
            work: Callable[[list[Job]], Awaitable[list[Job]]] = getattr(self, f"_{name}")
            for job in await work(at_it):
                job.step += 1
                await self._save(job)

    async def _save(self, job: Job) -> None:
        """Where it stands; with the last steps its ids go, and with the very last it itself."""
        done = job.step == len(STEPS)
        if job.step >= STEPS.index("redis"):
            job.parts = {}
        pipe = self.redis.pipeline(transaction=True)
        if done:
            pipe.hdel(JOBS, job.id)
        else:
            pipe.hset(JOBS, job.id, msgspec.json.encode(job))
        pipe.set(REPORT + job.id, await self._report(job), ex=REPORT_SECONDS)
        await pipe.execute()

    async def _note(self, job: Job) -> None:
        """Remember what a job has come to within its step."""
        await self.redis.hset(JOBS, job.id, msgspec.json.encode(job))

    async def _report(self, job: Job) -> bytes:
        """What is told of it, with what the one who asked for it wrote there first."""
        before = await self.redis.get(REPORT + job.id)
        told: dict[str, Any] = msgspec.json.decode(before) if before else {}
        done = job.step == len(STEPS)
        told |= {
            "erasure_id": job.id,
            "status": "done" if done else "erasing",
            "erased_at": job.erased_at,
            "done": list(STEPS[: job.step]),
            "waits_for": "" if done else STEPS[job.step],
            "erased": job.counts,
        }
        if done:
            told["finished_at"] = int(time.time() * 1000)
        if not self.settings.embedded:
            told["remains"] = "his records in Kafka until its retention; contacts unreadable"
        return msgspec.json.encode(told)

    async def _keys(self, jobs: list[Job]) -> list[Job]:
        for job in jobs:
            job.counts["keys"] = await self.keys.destroy(list(job.parts))
        return jobs

    async def _stones(self, jobs: list[Job]) -> list[Job]:
        rows = [
            {
                "name": tombstone(self.settings.secret, cid), "shard": part.shard,
                "erased_at": job.erased_at, "number": part.number, "erasure_id": job.id,
            }
            for job in jobs
            for cid, part in job.parts.items()
            if part
        ]  # fmt: skip
        await self._ask(remember, rows)
        for job in jobs:
            job.counts["tombstones"] = len(job.parts)
        return jobs

    async def _passed(self, jobs: list[Job]) -> list[Job]:
        """Those of whom nothing is on its way any more, in any shard, through any reader."""
        done = []
        for job in jobs:
            if await self._has_passed(job):
                done.append(job)
            await self._note(job)
        return done

    async def _has_passed(self, job: Job) -> bool:
        """All that the logs held is decided; that, carried; what came of carrying it, carried."""
        if not job.log_ends:
            job.log_ends = await self.log.ends()
            if self.settings.embedded:  # a log's last record is never trimmed: it must be another
                shards = range(self.settings.shards)
                await self.log.append([Append(shard, TICK, b"{}", 1) for shard in shards])
        pipe = self.redis.pipeline(transaction=False)
        for shard in range(self.settings.shards):
            pipe.get(next_key(shard))
        decided = [Position.parse(text).offset for text in await pipe.execute()]
        if any(at < end for at, end in zip(decided, job.log_ends, strict=True)):
            return False
        for stream in (OUTBOX, OUTCOMES):
            if stream not in job.ends:
                ends = await Reader(self.redis, self.settings.shards, stream).ends()
                job.ends[stream] = [end.text for end in ends]
            cursors = await self._cursors(stream)
            wanted = [EntryId.parse(text.encode()) for text in job.ends[stream]]
            if any(at < end for at, end in zip(cursors, wanted, strict=True)):
                return False
        return True

    async def _rows(self, jobs: list[Job]) -> list[Job]:
        people = [Whom(list(job.parts), job.erased_at) for job in jobs]
        erased = await self._ask(erase_rows, people, self.settings.secret)
        mutations = await self._ask(last_mutations, erased)
        for job in jobs:
            job.counts |= {f"table {table}": count for table, count in erased.items() if count}
            job.mutations = mutations
        return jobs

    async def _files(self, jobs: list[Job]) -> list[Job]:
        for job in jobs:
            job.counts["lines of sent.jsonl"] = await asyncio.to_thread(
                overwrite_lines, self.settings.data, [_customer(cid) for cid in job.parts]
            )
        return jobs

    async def _log(self, jobs: list[Job]) -> list[Job]:
        """Entries go now; records when the logs have been trimmed."""
        done = []
        for job in jobs:
            for stream in (OUTBOX, OUTCOMES, AGAIN):
                cursors, gone = await self._until(stream), 0
                for shard, until in enumerate(cursors):
                    gone += await self._delete_entries(stream_key(shard, stream), until, job)
                name = f"entries of {stream}"
                job.counts[name] = job.counts.get(name, 0) + gone
            if not self.settings.embedded or await self._trimmed(job):
                done.append(job)
            await self._note(job)
        return done

    async def _delete_entries(self, key: str, until: EntryId, job: Job) -> int:
        """Delete the entries, up to a cursor that every reader has passed, that name him."""
        start, gone = b"-", 0
        while True:
            entries = await self.redis.xrange(key, start, until.text, PAGE)
            if not entries:
                return gone
            his = [name for name, fields in entries if names_one_of(job.parts, fields[b"b"])]
            if his:
                gone += await self.redis.xdel(key, *his)
            start = b"(" + entries[-1][0]

    async def _trimmed(self, job: Job) -> bool:
        """Whether no log holds a record any more of those that it held then."""
        for shard, end in enumerate(job.log_ends):
            first = await self.log.read(shard, 0, 1)
            if first and first[0].offset < end:
                return False
        return True

    async def _parts(self, jobs: list[Job]) -> list[Job]:
        if time.monotonic() >= self._let_go_at:
            self._let_go_at = time.monotonic() + LET_GO_SECONDS
            await self._ask(let_go, {table for job in jobs for table in job.mutations})
        return [job for job in jobs if not await self._ask(parts_left, job.mutations)]

    async def _redis(self, jobs: list[Job]) -> list[Job]:
        await rewrite(self.redis)
        return jobs

    async def _until(self, stream: str) -> list[EntryId]:
        """How far entries may be deleted; what was put off is not waited for, nor ever sent."""
        if stream == AGAIN:
            return await Reader(self.redis, self.settings.shards, stream).ends()
        return await self._cursors(stream)

    async def _cursors(self, stream: str) -> list[EntryId]:
        """How far every reader of a stream has come, by shard; the learner's too, if it has one."""
        sinks = await self.redis.hgetall(SINKS)
        names = [name.decode() for name, reads in sinks.items() if reads.decode() == stream]
        reader = Reader(self.redis, self.settings.shards, stream)
        places = [await reader.cursors(name) for name in names]
        found = [min(place[shard] for place in places) for shard in range(reader.shards)]
        if stream == OUTBOX:
            pipe = self.redis.pipeline(transaction=False)
            for shard in range(reader.shards):
                pipe.get(cursor_key(shard, LEARNER))
            for shard, text in enumerate(await pipe.execute()):
                if text:
                    found[shard] = min(found[shard], EntryId.parse(text))
        return found

    async def _ask(self, question: Callable[..., Any], *given: Any) -> Any:
        def ask() -> Any:
            if self._client is None:
                self._client = self._connect()
            return question(self._client, *given)

        return await asyncio.to_thread(ask)


def names_one_of(ids: Iterable[str], body: bytes) -> bool:
    """Whether JSON names a customer, also within a text that is JSON itself."""
    for cid in ids:
        if orjson.dumps(cid.partition(":")[2])[1:-1] in body:
            marks = [mark.encode() for mark in text_marks(cid)]
            if any(mark in body or orjson.dumps(mark.decode())[1:-1] in body for mark in marks):
                return True
    return False


def _customer(cid: str) -> bytes:
    return b'"customer":' + msgspec.json.encode(cid)


def overwrite_lines(data: Path, marks: Sequence[bytes]) -> int:
    """Overwrite the lines that hold one of `marks`, in place: their writer goes on meanwhile."""
    count = 0
    for path in sorted(data.glob("sent*.jsonl")):
        with path.open("r+b") as file:
            at = 0
            for line in file:
                if any(mark in line for mark in marks):
                    length = len(line.rstrip(b"\n"))
                    blank = ERASED_LINE.ljust(length)[:length]
                    os.pwrite(file.fileno(), blank, at)
                    count += 1
                at += len(line)
            os.fsync(file.fileno())
    return count
