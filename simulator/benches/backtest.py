"""A backtest against the live worker on the same events: CPU an event of one core each, in pairs.

    python -m simulator.benches.backtest EVENTS

Must live here: the pairing, and the process that backtests. Both decide the made-up shop's events
by the same rules, the benches' four: the worker's log is there already, with the ticks of each hour
and the letters of each, as a backtest has them. Both are timed from inside over the same part of
the events, in CPU, so that neither a start nor what else runs on the machine counts.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import Console

from engine.records import RULES, Append
from rules.book import Book
from rules.load import book_from_sources
from simulator.backtest import SECRET, SHARDS, Drive, backtest
from simulator.backtest_engine import Engine
from simulator.backtest_history import Past
from simulator.benches.parts import (
    TIMED,
    fill,
    four_rules,
    last_line,
    made_up,
    median,
    place,
    program,
)

EVENTS: Final = 60_000
ROUNDS: Final = 3
HOUR: Final = 3_600_000
WEEK: Final = 168 * HOUR


class Records:
    """Records at hand, as a history."""

    name = "made up"

    def __init__(self, appends: Sequence[Append], step_ms: int = HOUR) -> None:
        self.total = len(appends)
        self.step_ms = step_ms
        self.cpu: list[float] = []  # used when the part that is timed began, and ended
        self._appends = appends
        self._timed = [int(part * self.total) for part in TIMED]

    def records(self, shards: int) -> Iterator[Past]:
        """See `History.records`; they were routed for as many shards."""
        if shards != SHARDS:
            raise ValueError(f"{shards} shards: these records are for {SHARDS}")
        for number, one in enumerate(self._appends, start=1):
            if number in self._timed:
                self.cpu.append(time.process_time())
            yield Past(one, number)

    def moment(self, text: str) -> int:
        """See `History.moment`; nobody asks."""
        raise NotImplementedError(text)


def measure(console: Console) -> dict[str, Any]:
    """CPU microseconds an event of both, and the median of the pairs' ratios."""
    records = whole_log(made_up(EVENTS))
    cost: dict[str, list[float]] = {"engine": [], "backtest": []}
    for number in range(ROUNDS):
        console.print(f"  round {number + 1} of {ROUNDS}")
        cost["engine"].append(_engine(records))
        process = program("simulator.benches.backtest", str(EVENTS), environment={})
        cost["backtest"].append(last_line(process, 300)["cpu_us"])
    ratios = [a / b for a, b in zip(cost["engine"], cost["backtest"], strict=True)]
    return {
        "speed_to_engine": median(ratios),
        **{f"{kind}_cpu_us_an_event": median(found) for kind, found in cost.items()},
        "events_per_second_a_core": round(1e6 / median(cost["backtest"])),
        "events": EVENTS,
        "rounds": ROUNDS,
    }


def _engine(records: list[Append]) -> float:
    with place() as here:
        asyncio.run(fill(here, records))
        process = program(
            "simulator.benches.measured", "engine", here.url, str(len(records)),
            environment=here.settings().environment(),
        )  # fmt: skip
        return last_line(process, 300)["cpu_us"] * len(records) / EVENTS


class _Heard(Engine):
    """An engine that keeps what came to its logs; the rules are published to the worker's own."""

    def __init__(self, book: Book) -> None:
        super().__init__(book, SHARDS, SECRET, lambda _: None, [{} for _ in range(SHARDS)])
        self.log: list[Append] = []

    async def _decide(self, appends: Sequence[Append], now: int) -> None:
        self.log += (one for one in appends if one.key != RULES)
        await super()._decide(appends, now)


def whole_log(records: Sequence[Append]) -> list[Append]:
    """These records in order of time, with the ticks and letters that a backtest has of them."""
    heard = _Heard(book_from_sources(four_rules()))
    history = Records(_in_order(records))
    asyncio.run(Drive(history, [heard], (None, None), SHARDS, None).run())
    return heard.log


def _in_order(records: Sequence[Append]) -> list[Append]:
    return sorted(records, key=lambda one: one.hint)


def main() -> None:
    """Backtest so many events, and say what one cost."""
    records = _in_order(made_up(int(sys.argv[1])))
    book = book_from_sources(four_rules())
    history = Records(records)
    found = backtest(history, book, window_ms=WEEK)
    first, last = history.cpu
    cost = (last - first) / ((TIMED[1] - TIMED[0]) * history.total) * 1e6
    print(json.dumps({"cpu_us": cost, "acts": found["acts"]}), flush=True)


if __name__ == "__main__":
    main()
