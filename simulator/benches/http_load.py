"""A process that sends the made-up shop's events over HTTP as SDKs do, at a rate it is told.

    python -m simulator.benches.http_load HOST PORT

reads a line `{"rate": 5000, "seconds": 60}` from its input and answers with a line of figures, as
often as it is asked. Must live here: pace and bodies. Must not: what the engine makes of them.
Calls are due at fixed times, whether or not the one before was answered: an answer's time counts
from when the call was due, so that a slow door is not asked more gently.
"""

import asyncio
import base64
import json
import sys
import time
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

import orjson

from simulator.benches.parts import DAY, START, percentile
from simulator.habits import iso
from simulator.world import World

WRITE_KEY = "bench"
LINES = 32  # connections kept open
BATCH = 20  # events a POST, as Segment's SDKs send; each is followed by a single call
EVENTS = 40_000
CUSTOMERS = 4_000
PERSON, MESSAGE, TIME = b"@P@", b"@M@", b"@T@"


class Call(NamedTuple):
    """One POST and how many events it carries."""

    path: str
    body: bytes
    events: int


class Line:
    """One keep-alive connection."""

    def __init__(self, host: str, port: int) -> None:
        self._where = host, port
        key = base64.b64encode(f"{WRITE_KEY}:".encode()).decode()
        self._head = f"Host: {host}\r\nAuthorization: Basic {key}\r\nContent-Type: application/json"

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(*self._where)

    async def post(self, path: str, body: bytes) -> int:
        """The status of the answer."""
        head = f"POST {path} HTTP/1.1\r\n{self._head}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await self._reader.readexactly(int(length))
        return int(answer[9:12])

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def calls(items: list[tuple[str, bytes]]) -> Iterator[Call]:
    """The shop's events for ever: a batch, a single call, and so on; new people each time round."""
    for turn in count():
        person = b"%d-" % turn
        for start in range(0, len(items) - BATCH, BATCH + 1):
            *batch, (kind, single) = items[start : start + BATCH + 1]
            name = b"%d-%d-" % (turn, start)
            now = iso(time.time_ns() // 1_000_000).encode()
            bodies = [
                body.replace(PERSON, person).replace(TIME, now).replace(MESSAGE, name + b"%d" % n)
                for n, body in enumerate([*[body for _, body in batch], single])
            ]
            sent = b'],"sentAt":"' + now + b'"}'
            yield Call("/v1/batch", b'{"batch":[' + b",".join(bodies[:-1]) + sent, BATCH)
            yield Call(f"/v1/{kind}", bodies[-1], 1)


def _items() -> list[tuple[str, bytes]]:
    """What is sent, its people, ids and times left open."""
    world = World(seed=7, customers=CUSTOMERS, start_ms=START)
    found: list[tuple[str, bytes]] = []
    for day in count():
        for item in world.step(START + day * DAY, START + (day + 1) * DAY):
            people = {
                name: f"@P@{item[name]}"
                for name in ("userId", "anonymousId", "previousId")
                if item.get(name)
            }
            told = {**item, **people, "messageId": "@M@", "timestamp": "@T@"}
            found.append((item["type"], orjson.dumps(told)))
        if len(found) >= EVENTS:
            return found
    raise AssertionError


class Load:
    """All lines at work."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines
        self._calls = calls(_items())

    async def run(self, rate: float, seconds: float) -> dict[str, Any]:
        """Send `rate` events a second for so long; what was answered, and how soon."""
        for line in self._lines:
            await line.open()
        self._due = time.monotonic()
        self._until = self._due + seconds
        self._rate = rate
        answers: list[tuple[int, int, float]] = []
        begun = time.monotonic()
        await asyncio.gather(*(self._work(line, answers) for line in self._lines))
        for line in self._lines:
            line.close()
        taken = sum(events for status, events, _ in answers if status == 200)
        waited = sorted(ms for _, _, ms in answers)
        return {
            "events_per_second": taken / max(seconds, time.monotonic() - begun),
            "calls": len(answers),
            "refused": sum(status != 200 for status, _, _ in answers),
            "answer_p50_ms": percentile(waited, 50),
            "answer_p99_ms": percentile(waited, 99),
        }

    async def _work(self, line: Line, answers: list[tuple[int, int, float]]) -> None:
        while self._due < self._until:
            call, due = next(self._calls), self._due
            self._due += call.events / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            status = await line.post(call.path, call.body)
            answers.append((status, call.events, (time.monotonic() - due) * 1000))


async def _main(host: str, port: int) -> None:
    load = Load([Line(host, port) for _ in range(LINES)])
    for asked in sys.stdin:
        print(json.dumps(await load.run(**json.loads(asked))), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
