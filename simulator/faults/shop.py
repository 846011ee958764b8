"""The storefront in the simulated world: it sends the workload, and again until it is acknowledged.

Must live here: sending. Must not: what is sent (workload.py). An event's own time never goes back,
as on a phone whose clock is right; the log's clock may be jumped meanwhile.
"""

from typing import Any

from engine.log import LogAway
from engine.records import Append, is_event
from engine.shards import partition
from features.events import encode, key, parse
from simulator.faults.history import History
from simulator.faults.log import SimulatedLog
from simulator.faults.workload import Call
from simulator.faults.world import World, boundary

GAP_MS, AGAIN_MS = 1.5, 15.0


class Shop:
    """One sender; `upto` is how many of its calls it may have made."""

    def __init__(
        self, world: World, log: SimulatedLog, history: History, calls: list[Call]
    ) -> None:
        self.world = world
        self.log = log
        self.history = history
        self.calls = calls
        self.made: list[Append] = []
        self.sent = 0
        self.upto = 0
        self._at = 0

    async def send(self) -> None:
        """Send the calls up to `upto`, and end."""
        while self.sent < self.upto:
            call = self.calls[self.sent]
            self.world.skipped += call.gap_ms
            self.made.append(self._record(call))
            item = self.made[-1]
            while True:
                try:
                    await self.log.append([item])
                except LogAway:
                    await boundary("pause", AGAIN_MS)
                else:
                    break
            if is_event(item.key):
                self.history.acknowledged.add((item.key, item.value))
            self.sent += 1
            await boundary("until the next call", GAP_MS)

    def _record(self, call: Call) -> Append:
        """The call as a record; a repeat has the same bytes."""
        if call.repeats >= 0:
            return self.made[call.repeats]
        if call.raw is not None:
            where, value = call.raw
            self.history.bad.add(value)
            return Append(partition(where, self.log.shards), where, value)
        self._at = max(self._at + 1, self.world.log_now)
        item: dict[str, Any] = {**call.item, "timestamp": self._at - call.late_ms}
        event = parse(item, source="shop", received_at=self._at)
        where = key(event)
        return Append(partition(where, self.log.shards), where, encode(event))
