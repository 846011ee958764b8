"""What the relay's tests stand on: outbox entries as commits write them, and a webhook receiver.

Must live here: entries, the receiver, waiting for something to become true. Must not: tests.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis.asyncio import Redis

from engine.ending import end
from tests.patience import SECONDS

NOW = 1_780_000_000_000


def decision(number: int, **given: Any) -> dict[str, Any]:
    """A decision that acts: one coupon, one message through `push`."""
    notify = {"kind": "notify", "name": "notify:hello", "via": ["push"], "channel": "push",
              "template": "hello", "with": {"n": number}, "to": "customer"}  # fmt: skip
    coupon = {"kind": "coupon", "name": "coupon:SAVE", "offer": "SAVE", "code": f"C-{number}",
              "off": 5.0, "off_kind": "money", "over": None, "most": None,
              "expires_at": NOW + 86_400_000}  # fmt: skip
    return {
        "rule": "cart-rescue", "at": NOW + number, "decision_id": f"{number:026d}", "cid": "u:1",
        "run": "1", "instance": "c1", "step": "1", "version": "h", "purpose": "marketing",
        "result": "act", "held": "", "arm": "treated", "split": "", "propensity": 1.0,
        "model_version": "", "values": {"cart.value": "12"}, "actions": [coupon, notify],
        "latency_ms": 3, "log_offset": number,
        "not_after": round(time.time() * 1000) + 86_400_000, **given,
    }  # fmt: skip


async def commit(
    redis: Redis, shard: int, start: int, to: int, step: int = 0, **given: Any
) -> None:
    """An outbox entry, and the worker's place after it."""
    body = {"from": start, "to": to, "log_time": NOW + to,
            "committed_at": round(time.time() * 1000), **given}  # fmt: skip
    pipe = redis.pipeline(transaction=True)
    pipe.xadd(f"{{s{shard}}}:outbox", {b"b": orjson.dumps(body)}, id=f"{to}-{step}")
    pipe.set(f"{{s{shard}}}:next", f"{to}:{step}")
    await pipe.execute()


def letter(sender: int, to: int, number: int) -> dict[str, Any]:
    prev = f"{number - 1}-0" if number else ""
    return {"to": to, "id": f"{number}-0", "from": sender, "prev": prev, "kind": "claim",
            "cid": "u:1", "body": {}}  # fmt: skip


@asynccontextmanager
async def running(
    *runs: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
) -> AsyncIterator[asyncio.Event]:
    """Sinks at work; they are stopped, and must end, when the block ends."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(run(stop)) for run in runs]
    try:
        yield stop
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), SECONDS)
    finally:
        await end(tasks)


async def outcomes(redis: Redis, shards: int) -> list[dict[str, Any]]:
    """The rows in the relay's own streams."""
    rows = []
    for shard in range(shards):
        for _, fields in await redis.xrange(f"{{s{shard}}}:outcomes"):
            rows += orjson.loads(fields[b"b"])["outcomes"]
    return rows


@dataclass
class Receiver:
    """An HTTP receiver. `answer` says what each POST gets: status, headers, seconds to wait."""

    answer: Callable[[str, int], tuple[int, dict[str, str], float]] = lambda _key, _n: (204, {}, 0)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    tries: Counter[str] = field(default_factory=Counter)
    port: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            for writer in self._writers:
                writer.close()
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                headers = {"": line.decode()}
                while (line := await reader.readline()).strip():
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                key = headers.get("webhook-id", "")
                self.tries[key] += 1
                status, more, seconds = self.answer(key, self.tries[key])
                await asyncio.sleep(seconds)
                if status < 300:
                    self.posts.append((headers, body))
                lines = [f"HTTP/1.1 {status} X", "content-length: 0"]
                lines += [f"{name}: {value}" for name, value in more.items()]
                writer.write("\r\n".join([*lines, "", ""]).encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
