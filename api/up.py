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
from api.up_counts import Gauge
from api.up_stack import Plan, Stack

TICK_S = 0.2
SHOW_S = 0.5
DRAIN_S = 20  # from the signal to the end, as an operator's own supervisor will expect
SETTLE_S = 120  # after `--for`: nobody waits with a kill in his hand


def up(plan: Plan, seconds: float | None, console: Console, *, quiet: bool) -> dict[str, Any]:
    """Run until `seconds` have passed or a signal came, drain, and say what happened."""
    with Stack(plan, console.print) as stack, Screen(console, quiet=quiet) as screen:
        stack.told = screen.say
        stack.start()
        run = Run(stack, screen)
        if not stack.leaving:
            run.go(seconds)
        return run.end(SETTLE_S if seconds and not stack.leaving else DRAIN_S)


class Run:
    """A started engine until its end."""

    def __init__(self, stack: Stack, screen: Screen) -> None:
        self.stack = stack
        self.screen = screen
        self.gauge = Gauge(stack.settings)
        self.began = time.monotonic()
        self.before = self.gauge.counts().events_in
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
                self.screen.show(self.gauge.counts())
        time.sleep(TICK_S)

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
        self.screen.phase = "draining"
        deadline = time.monotonic() + seconds
        self.stack.quiet("traffic", seconds / 4)
        ran = time.monotonic() - self.began
        drained = self.settle(max(1.0, deadline - time.monotonic() - 6))
        counts = self.gauge.counts(whole=True)
        self.gauge.close()
        killed = self.stack.stop(max(5.0, deadline - time.monotonic()))
        self.screen.end(counts, _told(self.stack, killed, drained=drained))
        exact = not counts.lost and not counts.duplicates
        clean = exact and not killed and (drained or self.stack.leaving)
        return counts.summary(ran, self.before) | {
            "drained": drained,
            "killed": killed,
            "clean": clean,
        }


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
