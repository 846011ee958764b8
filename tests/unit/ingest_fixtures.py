"""A door to knock at: the whole application over a log in memory, called in this process."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from api.app import Deps, create_app
from api.sources import Sources, ensure_sources
from tests.fakes import MemoryLog

NOW = 1_800_000_000_000


@dataclass
class Shop:
    http: httpx.AsyncClient
    log: MemoryLog
    keys: dict[str, str]
    app: Any
    now: int = NOW

    async def post(self, path: str, body: Any, source: str = "server", **given: Any):
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        given.setdefault("auth", (self.keys[source], ""))
        return await self.http.post(path, content=content, **given)

    def stored(self) -> list[dict[str, Any]]:
        """The events in the log, in the log's order shard by shard."""
        return [orjson.loads(r.value) for r in self.log.everything() if r.key[:1] != b"!"]

    def rejected(self) -> list[dict[str, Any]]:
        return [orjson.loads(r.value) for r in self.log.everything() if r.key == b"!rejected"]


async def open_shop(data: Path, **deps: Any) -> AsyncIterator[Shop]:
    keys = ensure_sources(data)
    log = MemoryLog()
    shop: Shop
    app = create_app(
        Deps(log=log, sources=Sources(data / "sources.json"), clock=lambda: shop.now, **deps)
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://laike.test") as http:
        shop = Shop(http, log, keys, app)
        yield shop
