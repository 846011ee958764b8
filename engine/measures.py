"""What workers and the relay tell of themselves: counts and times, added up in Redis once a second.

Must live here: gathering in the process and adding to the one hash. Must not: a metric's name
(metrics.py has the list), showing. Sums in Redis outlive a restart, so a counter never goes back;
a process that is killed takes at most its last second with it.

    laike:measures   hash: `name`, `name|label`, a histogram's `name|<=bound` and `name|sum`
"""

from bisect import bisect_left
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.metrics import BY_NAME

KEY: Final = "laike:measures"
TOP: Final = "+Inf"


class Measures:
    """What was measured and not told yet. An unknown name is a fault of ours: KeyError.

    >>> measures = Measures()
    >>> measures.observe("decide_seconds", 0.004)
    >>> measures.count("relay_retries_total", "archive")
    >>> sorted(measures.fresh)
    ['decide_seconds|<=0.005', 'decide_seconds|sum', 'relay_retries_total|archive']
    """

    def __init__(self) -> None:
        self.fresh: dict[str, float] = {}

    def count(self, name: str, label: str = "", number: float = 1) -> None:
        """Add to a counter; `label` is the value of its label, if it has one."""
        if bool(BY_NAME[name].label) != bool(label):
            raise ValueError(f"{name} has the label {BY_NAME[name].label!r}, got {label!r}")
        self._add(f"{name}|{label}" if label else name, number)

    def observe(self, name: str, value: float) -> None:
        """Add to a histogram; a clock that went back counts as no time at all."""
        bounds, value = BY_NAME[name].buckets, max(0.0, value)
        at = bisect_left(bounds, value)
        self._add(f"{name}|<={bounds[at] if at < len(bounds) else TOP}", 1)
        self._add(f"{name}|sum", value)

    def _add(self, field: str, number: float) -> None:
        self.fresh[field] = self.fresh.get(field, 0.0) + number

    async def tell(self, redis: "Redis") -> None:
        """Add to Redis what is fresh, in one write; while it is away, what is fresh waits."""
        told, self.fresh = self.fresh, {}
        if not told:
            return
        try:
            async with redis.pipeline(transaction=False) as pipe:
                for field, number in told.items():
                    pipe.hincrbyfloat(KEY, field, number)
                await pipe.execute()
        except (RedisError, OSError):
            for field, number in told.items():
                self._add(field, number)
            raise


MEASURES: Final = Measures()  # of this process


async def read(redis: "Redis") -> dict[str, float]:
    """All that was ever told, by field."""
    found: Any = await redis.hgetall(KEY)
    return {field.decode(): float(number) for field, number in found.items()}
