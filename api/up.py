"""`laike up`: one run of a whole engine on this machine, from the first check to the last number.

Must live here: what happens when, and what the run says at its end. Must not: the parts
(up_stack), the numbers (up_counts), the screen (live).
"""

import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError
from rich.console import Console

from api.live import Look, Screen
from api.up_counts import Counts, Gauge
from api.up_stack import Plan, Stack

TICK_S = 0.2
SHOW_S = 0.5
DRAIN_S = 20  # from the signal to the end, as an operator's own supervisor will expect
SETTLE_S = 120  # after `--for`: nobody waits with a kill in his hand
STOP_S = 60  # then, for the parts to end
ENDING_S = 8.0  # of the drain, kept for that


def up(plan: Plan, seconds: float | None, console: Console, *, quiet: bool) -> dict[str, Any]:
    """Run until `seconds` have passed or a signal came, drain, and say what happened."""
    begun = time.monotonic()
    with Stack(plan, console.print) as stack, Screen(console, quiet=quiet) as screen:
        stack.told = screen.say
        stack.start()
        run = Run(stack, screen, begun)
        if not stack.leaving:
            run.go(seconds)
        return run.end(SETTLE_S if seconds and not stack.leaving else DRAIN_S)


class Run:
    """A started engine until its end."""

    def __init__(self, stack: Stack, screen: Screen, begun: float) -> None:
        self.stack = stack
        self.screen = screen
        self.gauge = Gauge(stack.settings)
        self.begun = begun  # when the command was given
        self.began = time.monotonic()
        self.before = self.gauge.counts()
        self.first_outcome_s: float | None = None
        self._shown = 0.0
        screen.go(
            Look(
                api=f"http://{stack.settings.host}:{stack.settings.port}",
                data=str(stack.plan.data),
                laike=_laike(),
                write_key=stack.keys.get("server", ""),
                record_clock=stack.birth.clock == "record",
            )
        )

    def go(self, seconds: float | None) -> None:
        """Watch over the parts and show the numbers, until it is time or a signal comes."""
        until = self.began + seconds if seconds else float("inf")
        while not self.stack.leaving and time.monotonic() < until:
            self._beat()

    def _beat(self) -> None:
        self.stack.tend()
        if time.monotonic() - self._shown > SHOW_S:
            self._shown = time.monotonic()
            with suppress(RedisError, OSError):  # it is away, and started again
                self._see(self.gauge.counts())
        time.sleep(TICK_S)

    def _see(self, counts: Counts) -> None:
        self._note(counts)
        self.screen.show(counts)

    def _note(self, counts: Counts) -> None:
        if self.first_outcome_s is None and counts.outcomes_written > self.before.outcomes_written:
            self.first_outcome_s = round(time.monotonic() - self.begun, 1)

    def settle(self, seconds: float) -> bool:
        """Wait until every record is processed and every effect is a row; False if time ran out."""
        deadline = time.monotonic() + seconds
        while not self.stack.hurry and time.monotonic() < deadline:
            with suppress(RedisError, OSError):
                if self.gauge.settled():
                    return True
            self._beat()
        return False

    def end(self, seconds: float) -> dict[str, Any]:
        """Drain within `seconds`, end the parts in reverse, and give the summary."""
        self.screen.drain()
        deadline = time.monotonic() + seconds
        self.stack.quiet("traffic", seconds / 4)
        ran = time.monotonic() - self.began
        drained = self.settle(max(1.0, deadline - time.monotonic() - ENDING_S))
        counts = self.gauge.counts(whole=True)
        self._note(counts)  # one may have come since the last look
        self.gauge.close()
        patience = max(ENDING_S, deadline - time.monotonic()) if self.stack.leaving else STOP_S
        killed = self.stack.stop(patience)
        self.screen.end(counts, _told(self.stack, killed, drained=drained))
        wrong = _wrong(counts, killed, drained=drained or self.stack.leaving)
        return counts.summary(ran, self.before.events_in) | {
            "started_seconds": round(self.began - self.begun, 1),
            "first_outcome_seconds": self.first_outcome_s,
            "drained": drained,
            "killed": killed,
            "clean": not wrong,
            "wrong": wrong,
        }


def _wrong(counts: Counts, killed: list[str], *, drained: bool) -> list[str]:
    """Why a run was not clean, in words; nothing for one that was."""
    told = {
        f"{counts.lost} events are accounted for nowhere": counts.lost,
        f"{counts.duplicates} decisions stand in ClickHouse in two forms": counts.duplicates,
        f"had to be killed: {', '.join(killed)}": killed,
        f"not drained within {SETTLE_S} s, {counts.lag} records wait": not drained,
    }
    return [words for words, true in told.items() if true]


def _told(stack: Stack, killed: list[str], *, drained: bool) -> str:
    again = f"the next start on {stack.plan.data} goes on from here"
    if killed:
        return f"ended, but not by themselves: {', '.join(killed)}; nothing is lost, {again}"
    return f"drained and ended; {again}" if drained else f"ended before all was drained; {again}"


def _laike() -> str:
    """How this user calls the command: by its name, or by its path in the environment."""
    if shutil.which("laike"):
        return "laike"
    path = Path(sys.executable).with_name("laike")
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
