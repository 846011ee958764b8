"""Appends of many requests become few of the log: a group commit, in the order they came.

Must live here: the queue before the log and its bounds. Must not: HTTP, what an event is.
One append is under way at a time; what comes meanwhile waits and goes together in the next.
So the order of arrival is the order in the log, and a busy door makes larger groups, not more.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from engine.log import Log, LogAway, LogFull
from engine.records import Append


class _Waiting(NamedTuple):
    items: Sequence[Append]
    size: int
    done: "asyncio.Future[None]"


class Appends:
    """The way to `log` for all requests of a process; `add` returns once the log has answered."""

    def __init__(
        self,
        log: Log,
        *,
        group_items: int = 500,
        waiting_items_max: int = 20_000,
        waiting_bytes_max: int = 64 * 1024 * 1024,
        log_seconds_max: float = 10.0,
    ) -> None:
        self._log = log
        self._group_items = group_items
        self._items_max = waiting_items_max
        self._bytes_max = waiting_bytes_max
        self._seconds_max = log_seconds_max
        self._waiting: deque[_Waiting] = deque()
        self._items = self._bytes = 0  # of those waiting and those under way
        self._writer: asyncio.Task[None] | None = None

    async def add(self, items: Sequence[Append]) -> None:
        """Have `items` durable. Raises LogFull when too much waits, and what the log raises."""
        if self._items >= self._items_max or self._bytes >= self._bytes_max:
            raise LogFull(f"{self._items} events wait for the log", retry_after=1)
        size = sum([len(item.value) for item in items])
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(items, size, done))
        self._items += len(items)
        self._bytes += size
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await done

    async def close(self) -> None:
        """Return when nothing waits any more."""
        while self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        try:
            await asyncio.sleep(0)  # one turn of the loop: whoever is ready now comes along
            while self._waiting:
                await self._write_group(self._next_group())
        finally:
            self._writer = None
            while self._waiting:  # only when cancelled
                self._answer([self._waiting.popleft()], LogAway("the door is closing"))

    def _next_group(self) -> list[_Waiting]:
        group = [self._waiting.popleft()]
        count = len(group[0].items)
        while self._waiting and count + len(self._waiting[0].items) <= self._group_items:
            group.append(self._waiting.popleft())
            count += len(group[-1].items)
        return group

    async def _write_group(self, group: list[_Waiting]) -> None:
        failed: Exception | None = LogAway("the append was cut off")
        try:
            items = group[0].items if len(group) == 1 else [i for one in group for i in one.items]
            async with asyncio.timeout(self._seconds_max):
                await self._log.append(items)
            failed = None
        except TimeoutError:
            failed = LogAway(f"the log did not answer within {self._seconds_max:g} s")
        except Exception as raised:  # noqa: BLE001 - each waiting request gets it, whatever it is
            failed = raised
        finally:
            self._answer(group, failed)

    def _answer(self, group: list[_Waiting], failed: Exception | None) -> None:
        for items, size, done in group:
            self._items -= len(items)
            self._bytes -= size
            if done.done():  # its request was cut off
                continue
            if failed is None:
                done.set_result(None)
            else:
                done.set_exception(failed)
