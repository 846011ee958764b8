"""What one sees of a running engine: a live table on a terminal, a line now and then elsewhere.

Must live here: how numbers are laid out. Must not: where they come from (up_counts).
"""

import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from api.up_counts import Counts

LINE_S = 5
RATE_WINDOW_S = 5
MESSAGES_KEPT = 6
RULES_SHOWN = 12  # at most, where the terminal is high enough
OTHER_LINES = 18  # of a full screen
LEARNING = 1_000  # examples; an AUC of fewer says nothing
QUERY = "SELECT rule, result, count() FROM decisions FINAL GROUP BY ALL"
EVENT = '{"userId":"me","event":"Cart Viewed"}'


@dataclass(frozen=True)
class Look:
    """Where to look next, and as whom."""

    api: str
    data: str
    laike: str  # how this user calls the command
    write_key: str = ""
    record_clock: bool = False

    def lines(self) -> Iterator[tuple[str, str]]:
        """A name and what to open or type."""
        folder = "" if self.data == ".laike" else f" --data {self.data}"
        yield "the API", f"{self.api}/openapi.json   {self.api}/readyz"
        yield "a question", f'{self.laike} query "{QUERY}"{folder}'
        if self.write_key:
            yield "an event", f"KEY={self.write_key}"
            yield "", f"curl -u $KEY: {self.api}/v1/track \\"  # a long line would break anywhere
            yield "", f"  -d '{EVENT}'"
        yield "the logs", f"{self.data}/logs"


class Screen:
    """The live table where there is a terminal; else lines, five seconds apart."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console = console
        self.look: Look | None = None
        self.counts = Counts()
        self.phase = "starting"
        self.started = time.monotonic()
        self._quiet = quiet
        self._messages: deque[str] = deque(maxlen=MESSAGES_KEPT)
        self._seen: deque[tuple[float, int]] = deque()
        self._line_at = 0.0
        alive = console.is_terminal and not quiet
        self._live = Live(console=console, auto_refresh=False, screen=False) if alive else None

    def __enter__(self) -> Self:
        """Take the terminal."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back, the last table left standing."""
        if self._live:
            self._live.stop()

    def say(self, message: str) -> None:
        """One thing that happened; beside the numbers for a machine, where errors go."""
        self._messages.append(message)
        if self._live:
            self._live.update(self._table(), refresh=True)
        elif self._quiet:
            sys.stderr.write(f"{message}\n")
        else:
            self._print(message, style="dim")

    def show(self, counts: Counts) -> None:
        """The numbers now."""
        self.counts = counts
        now = time.monotonic()
        self._seen.append((now, counts.events_processed))
        while now - self._seen[0][0] > RATE_WINDOW_S:
            self._seen.popleft()
        if self._live:
            self._live.update(self._table(), refresh=True)
        elif not self._quiet and now >= self._line_at:
            self._line_at = now + LINE_S
            self._print(self._line())

    def _print(self, line: str, style: str | None = None) -> None:
        self.console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    @property
    def rate(self) -> float:
        """Events processed a second, over the last few."""
        if len(self._seen) < 2:
            return 0.0
        (then, had), (now, has) = self._seen[0], self._seen[-1]
        return (has - had) / max(now - then, 0.001)

    def _line(self) -> str:
        counts, latency = self.counts, self.counts.latency_ms
        decisions = sum(sum(of.values()) for of in counts.decisions.values())
        return (
            f"{self._clock()}{counts.events_in:,} events in, {self.rate:,.0f}/s, "
            f"{counts.lag:,} waiting, "
            f"{decisions:,} decisions, {counts.outcomes_written:,} outcomes, "
            f"p50 {_ms(latency['p50'])} p99 {_ms(latency['p99'])}, "
            f"{counts.quarantined:,} quarantined"
        )

    def _clock(self) -> str:
        if not (self.look and self.look.record_clock and self.counts.log_time):
            return ""
        world = time.gmtime(self.counts.log_time / 1000)
        return time.strftime("world %Y-%m-%d %H:%M  ", world)

    def _table(self) -> RenderableType:
        if self.look is None:
            return Text("\n".join(f"  {line}" for line in self._messages), style="dim")
        numbers = Table.grid(padding=(0, 3))
        for name, value in self._numbers():
            numbers.add_row(Text(name, style="dim"), Text(value, style="bold", justify="right"))
        body = Table.grid(padding=(0, 6))
        body.add_row(numbers, self._rules())
        look = Table.grid(padding=(0, 2))
        look.add_column(no_wrap=True, style="dim")
        look.add_column(overflow="fold")
        for name, what in self.look.lines():
            look.add_row(name, Text(what))
        title = f"来客 Laike  {self._clock()}{self.phase}"
        told = Text("\n".join(self._messages), style="dim")
        ended = self.phase == "ended"
        hint = "Ctrl-C drains and ends" if self.phase == "running" else None
        panel = Panel(body, title=title, subtitle=hint, padding=(1, 2))
        return Group(panel, told) if ended else Group(panel, look, told)

    def _rules(self) -> Table:
        """The busiest rules, by name."""
        table = Table.grid(padding=(0, 3))
        table.add_row(*(Text(t, style="dim") for t in ("decisions by rule", "acted", "held")))
        decisions = self.counts.decisions
        busiest = sorted(decisions, key=lambda rule: -sum(decisions[rule].values()))
        shown = max(3, min(RULES_SHOWN, self.console.height - OTHER_LINES))
        for rule in sorted(busiest[:shown]):
            numbers = (decisions[rule].get(kind, 0) for kind in ("act", "hold"))
            cells = (Text(f"{number:,}", "bold", justify="right") for number in numbers)
            table.add_row(rule, *cells)
        if more := len(busiest[shown:]):
            table.add_row(Text(f"and {more} more", style="dim"))
        return table

    def go(self, look: Look) -> None:
        """All parts are up: from now on the numbers are shown."""
        self._messages.clear()
        self.look = look
        self.phase = "running"

    def drain(self) -> None:
        """It is to end: say so at once, since the first numbers may take seconds."""
        self.phase = "draining"
        self.say("draining: what came in is decided and carried out; Ctrl-C again ends at once")

    def end(self, counts: Counts, told: str) -> None:
        """The last numbers, left standing, and how it ended."""
        self.phase = "ended"
        self._line_at = 0.0
        self.show(counts)
        self.say(told)

    def _numbers(self) -> Iterator[tuple[str, str]]:
        counts, latency = self.counts, self.counts.latency_ms
        yield "events a second", f"{self.rate:,.0f}"
        yield "events in", f"{counts.events_in:,}"
        yield "events waiting", f"{counts.lag:,}"
        yield "quarantined", f"{counts.quarantined:,}"
        yield "duplicates dropped", f"{counts.duplicates_dropped:,}"
        yield "rows of outcomes", f"{counts.outcomes_written:,}"
        yield "event to outcome, p50", _ms(latency["p50"])
        yield "event to outcome, p99", _ms(latency["p99"])
        for model, figures in counts.models.items():
            if "auc" in figures:
                early = figures["examples"] < LEARNING
                yield (
                    f"{model.replace('_', ' ')} AUC",
                    "learning" if early else f"{figures['auc']:.2f}",
                )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
