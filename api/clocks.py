"""What time it is at the door: the wall's, or in a record-time folder the world's.

Must live here: the two clocks. Must not: anything that decides by them.
"""

import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

CLOCK_KEY = "{s0}:clock"


def wall() -> int:
    """The wall's time, ms UTC."""
    return time.time_ns() // 1_000_000


class WorldClock:
    """The record clock: what the driver of the world wrote, read once a call of the door.

    Calling the clock reads no store; `refresh` does. While Redis is away it stands still, as the
    world does. An older reading would not do: a made-up day may pass in seconds.
    """

    def __init__(self, read: Callable[[], Awaitable[bytes | None]]) -> None:
        self._read = read
        self._now = 0

    @classmethod
    def of(cls, redis: Redis) -> "WorldClock":
        """The clock in `redis`."""

        async def read() -> bytes | None:
            found = await redis.get(CLOCK_KEY)
            return found.encode() if isinstance(found, str) else found

        return cls(read)

    def __call__(self) -> int:
        """The world's now; the wall's until a driver has set it."""
        return self._now or wall()

    async def refresh(self) -> None:
        """Read it now; a clock never goes back."""
        try:
            found = await self._read()
        except (RedisError, OSError):
            return
        if found:
            self._now = max(self._now, int(found))
