"""What is to be erased: the jobs, as commits ask for them and as Redis keeps them.

Must live here: a job's form, and the sink that makes jobs of what commits say. Must not: the work
(erase.py). `laike:erasing` is the one place that names a person's ids until he is erased.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from sinks.outbox import OUTBOX, Entry

JOBS: Final = "laike:erasing"


class Part(msgspec.Struct):
    """One id of the person: where its tombstone was committed, and which erasure of it this is."""

    shard: int
    at: str
    number: int


class Job(msgspec.Struct):
    """One erasure. `parts` has None for an id whose tombstone is still to be committed."""

    id: str
    erased_at: int = 0
    whole: bool = False  # all ids are known
    parts: dict[str, Part | None] = {}
    step: int = 0
    counts: dict[str, int] = {}
    mutations: dict[str, int] = {}
    log_ends: list[int] = []  # of all shards, once every tombstone was there
    ends: dict[str, list[str]] = {}  # of their outboxes, once those records were decided, and on

    @property
    def ready(self) -> bool:
        """Whether every id of the person has its tombstone."""
        return self.whole and all(self.parts.values())


class Row(msgspec.Struct):
    """What a commit says of an erasure; `ids` are all of the person's, told once."""

    id: str
    cid: str
    ids: list[str]
    at: int
    number: int


class _Entry(msgspec.Struct):
    erasures: list[Row] = []


_entry = msgspec.json.Decoder(_Entry)
read_job = msgspec.json.Decoder(Job)


class Requests:
    """The sink that turns what commits say into jobs."""

    name = "erasures"
    stream = OUTBOX
    linger_seconds = 0.0
    batch = 1

    def __init__(self, redis: Redis) -> None:
        self.redis: Any = redis  # its stubs say bytes or str; ours decodes nothing

    def weigh(self, entry: Entry) -> int:  # noqa: ARG002 - it waits for no company
        """Count entries."""
        return 1

    async def take(self, entries: Sequence[Entry]) -> int:
        """Note every erasure; one that is done already is done again, and finds nothing."""
        jobs: dict[str, Job] = {}
        for entry in entries:
            if b'"erasures":[' not in entry.body:
                continue
            for row in _entry.decode(entry.body).erasures:
                job = jobs.get(row.id) or await self._job(row.id)
                jobs[row.id] = job
                job.erased_at = max(job.erased_at, row.at)
                job.whole = job.whole or bool(row.ids)
                for cid in row.ids:
                    job.parts.setdefault(cid, None)
                job.parts[row.cid] = Part(entry.shard, entry.id.text, row.number)
        if jobs:
            bodies = {name: msgspec.json.encode(job) for name, job in jobs.items()}
            await self.redis.hset(JOBS, mapping=bodies)
        return len(jobs)

    async def _job(self, name: str) -> Job:
        found = await self.redis.hget(JOBS, name)
        return read_job.decode(found) if found else Job(name)
