"""`laike rules backtest`: history again, through the engine that will run the rules.

Must live here: the drive through history, step by step, as `laike replay` drives an engine; which
rules are tried. Must not: where events come from, counting, showing. With `start`, what was before
it is only remembered: features know it, and no rule is in force until then.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from engine.records import Append
from rules.book import Book
from rules.errors import near, one_of
from simulator.backtest_engine import Engine, Took
from simulator.backtest_history import History
from simulator.backtest_report import Report, Span, report
from simulator.backtest_tally import Tally
from simulator.mapping import MappingError

SHARDS: Final = 8
SECRET: Final = b"a backtest's codes redeem nothing"
TOLD_EVERY: Final = 500
Progress = Callable[[int, int], None]


def backtest(
    history: History,
    book: Book,
    span: tuple[int | None, int | None] = (None, None),
    *,
    window_ms: int,
    progress: Progress | None = None,
) -> Report:
    """Replay `history` under `book`; everything found."""
    tally = Tally(book.shop.timezone)
    began, ended = run(history, [(book, tally.took)], span, progress=progress)
    return report(tally, book, Span(began, ended, window_ms))


def run(
    history: History,
    books: Sequence[tuple[Book, Took]],
    span: tuple[int | None, int | None] = (None, None),
    *,
    shards: int = SHARDS,
    secret: bytes = SECRET,
    progress: Progress | None = None,
) -> tuple[int, int]:
    """The same history under each book, in one reading; from when to when it was (ms)."""
    engines = [Engine(book, shards, secret, took) for book, took in books]
    return asyncio.run(_Drive(history, engines, span, shards, progress).run())


def tried(book: Book, names: Iterable[str]) -> Book:
    """A book of these rules alone, each as if it were live; the whole book as it is if none."""
    wanted = list(names)
    for name in wanted:
        if name not in book.rules:
            known = f"{near(name, book.rules)}; there are: {one_of(book.rules)}"
            raise MappingError(f"no rule is called {name!r}{known}")
    if not wanted:
        return book
    rules = {name: replace(book.rules[name], status="live") for name in sorted(wanted)}
    return Book.of(
        rules, book.shop, book.offers, book.sources, book.segments, book.templates
    )


class _Drive:
    """One reading of a history, by all engines."""

    def __init__(
        self,
        history: History,
        engines: Sequence[Engine],
        span: tuple[int | None, int | None],
        shards: int,
        progress: Progress | None,
    ) -> None:
        self.history = history
        self.engines = engines
        self.step = step = history.step_ms
        self.start, self.end = (at if at is None else at // step * step for at in span)
        self.shards = shards
        self.progress = progress
        self.began = 0  # when the rules came into force
        self.done = 0  # the end of the last step

    async def run(self) -> tuple[int, int]:
        """Read all of it, up to the last whole step before the end."""
        for engine in self.engines:
            await engine.open()
        pending: list[Append] = []
        opened = 0
        for append, number in self.history.records(self.shards):
            end = (append.hint // self.step + 1) * self.step
            if self.end is not None and end > self.end:
                break
            if end > opened:
                await self._finish(opened, pending)
                await self._bridge(end - self.step)
                opened, pending = end, []
            pending.append(append)
            if self.progress and number % TOLD_EVERY == 0:
                self.progress(number, self.history.total)
        await self._finish(opened, pending)
        if self.end is not None and self.done:
            await self._bridge(self.end)
        if self.progress:
            self.progress(self.history.total, self.history.total)
        return self.began, self.done

    async def _finish(self, end: int, appends: list[Append]) -> None:
        if appends:
            for engine in self.engines:
                await engine.step(end, appends)
            self.done = end

    async def _bridge(self, until: int) -> None:
        """Go through the empty steps up to `until`, the rules' beginning perhaps among them."""
        if not self.began and (self.start is None or self.start <= until):
            self.began = until if self.start is None else self.start
            if self.done:
                await self._empty(self.began)
            for engine in self.engines:
                await engine.begin(self.began)
        if self.done:
            await self._empty(until)

    async def _empty(self, until: int) -> None:
        for engine in self.engines:
            last = self.done
            while due := engine.due():
                end = last + max(1, -(-(due - last) // self.step)) * self.step
                if end > until:
                    break
                await engine.step(end, ())
                last = end
        self.done = max(self.done, until)


