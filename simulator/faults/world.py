"""A world of one thread: its time, its actors, and which of them goes on next.

Must live here: the machines' clock, the log's clock, stepping, the trace. Must not: what an actor
does, which faults there are. An actor is a coroutine that stops at every step boundary by
`boundary`; the one whose time has come first goes on. All chance comes from the seed.

The machines' clock counts ms of work and only goes on. The log's clock is that plus what the
customers' days added and what was jumped, forwards or back.
"""

import heapq
import itertools
import math
import types
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

START = 1_767_571_200_000  # 2026-01-05 00:00 UTC
TRACE_LINES = 20
FOREVER = math.inf
IDLE = "idle"


@types.coroutine
def boundary(label: str, ms: float) -> Generator[tuple[str, float], None, None]:
    """Stop here: about `ms` pass, others go on, anything may be killed."""
    yield label, ms


async def idle() -> None:
    """Wait to be woken."""
    await boundary(IDLE, FOREVER)


@dataclass(eq=False)
class Actor:
    """A coroutine of a process; killed with it."""

    name: str
    process: str
    coroutine: Coroutine[Any, Any, None]
    wake_at: float = 0.0
    frozen: bool = False
    at: str = "start"

    def end(self) -> None:
        """Kill it where it stands: nothing more of it runs."""
        self.coroutine.close()


@dataclass
class Allowed:
    """How far a run may go, so that a failure can be made smaller."""

    kinds: frozenset[str] | None = None  # of faults; None: all
    faults: int = 1_000_000
    events: int = 1_000_000


@dataclass
class World:
    """Time and actors. `fault` says whether a fault of a kind strikes now."""

    seed: int
    allowed: Allowed = field(default_factory=Allowed)
    now: float = 0.0
    skipped: float = 0.0
    steps: int = 0
    calm: bool = True
    last_fault: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    actors: list[Actor] = field(default_factory=list)
    trace: deque[str] = field(default_factory=lambda: deque(maxlen=TRACE_LINES))
    struck: deque[str] = field(default_factory=lambda: deque(maxlen=TRACE_LINES))
    raised: Callable[[Actor, Exception], None] = lambda _actor, error: _raise(error)

    def __post_init__(self) -> None:
        self.order = Random(f"{self.seed}:order")
        self.chance = Random(f"{self.seed}:faults")
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    @property
    def log_now(self) -> int:
        """What the log's clock says, ms UTC."""
        return START + round(self.now + self.skipped)

    def start(self, name: str, process: str, coroutine: Coroutine[Any, Any, None]) -> Actor:
        """A new actor, from now on."""
        actor = Actor(name, process, coroutine, self.now)
        self.actors.append(actor)
        return actor

    def end(self, actor: Actor) -> None:
        """Kill an actor."""
        if actor in self.actors:
            self.actors.remove(actor)
        actor.end()

    def later(self, ms: float, do: Callable[[], None]) -> None:
        """Do something in `ms`."""
        heapq.heappush(self._later, (self.now + ms, next(self._number), do))

    def fault(self, kind: str) -> bool:
        """Whether a fault of this kind strikes now; it is counted."""
        rate = self.rates.get(kind, 0.0)
        if self.calm or not rate or self.chance.random() >= rate:
            return False
        return self.strike(kind)

    def strike(self, kind: str) -> bool:
        """Count a fault and say that it strikes, unless the run may have no more of them."""
        kinds = self.allowed.kinds
        if kinds is not None and kind not in kinds:
            return False
        if self.counts.total() >= self.allowed.faults:
            return False
        self.counts[kind] += 1
        self.last_fault = max(self.last_fault, self.now)
        self.say(f"FAULT {kind}")
        self.struck.append(self.trace[-1])
        return True

    def say(self, text: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.steps:>6} {self.now:>10.1f} ms  {text}")

    def step(self) -> None:
        """Let whoever is next go on to its next boundary; or time pass, if nobody is."""
        self.steps += 1
        actor = min(
            (one for one in self.actors if not one.frozen),
            key=lambda one: one.wake_at,
            default=None,
        )
        until = actor.wake_at if actor else FOREVER
        if self._later and self._later[0][0] <= until:
            at, _, do = heapq.heappop(self._later)
            self.now = max(self.now, at)
            do()
            return
        if actor is None or until == FOREVER:
            raise RuntimeError("nobody has anything to do, now or later")
        self.now = max(self.now, until)
        try:
            label, ms = actor.coroutine.send(None)
        except StopIteration:
            self.actors.remove(actor)
        except Exception as error:  # noqa: BLE001 - the cluster knows which of them end a process
            self.actors.remove(actor)
            self.raised(actor, error)
        else:
            actor.at = label
            actor.wake_at = self.now + ms * (0.2 + self.order.expovariate(1.0))
            self.say(f"{actor.name}: {label}")

    def wake(self, name: str) -> None:
        """Whoever of that name idles has work now."""
        for actor in self.actors:
            if actor.name == name and actor.at == IDLE:
                actor.wake_at = self.now


def _raise(error: Exception) -> None:
    raise error
