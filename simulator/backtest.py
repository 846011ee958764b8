"""`laike rules backtest`: history again, through the engine that will run the rules.

Must live here: the drive through history, step by step, as `laike replay` drives an engine; which
rules are tried. Must not: where events come from, counting, showing. With `start`, what was before
it is only remembered: features know it, and no rule is in force until then.
"""

import asyncio
import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, NamedTuple

from engine.records import Append
from engine.store import Stopped
from rules.book import Book
from rules.errors import near, one_of
from simulator.backtest_engine import Engine, Poison, Poisoned
from simulator.backtest_history import History
from simulator.backtest_report import Report, Span, report
from simulator.backtest_tally import Tally
from simulator.mapping import MappingError

SHARDS: Final = 8
SECRET: Final = b"a backtest's codes redeem nothing"
TOLD_EVERY: Final = 500
ATTEMPTS_MAX: Final = 20
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
    past = run(history, [book], span, progress=progress)
    return report(past.tallies[0], book, Span(past.start, past.end, window_ms))


class Done(NamedTuple):
    """What a run counted, book by book, and from when to when it was (ms)."""

    tallies: list[Tally]
    start: int
    end: int


def run(
    history: History,
    books: Sequence[Book],
    span: tuple[int | None, int | None] = (None, None),
    *,
    shards: int = SHARDS,
    secret: bytes = SECRET,
    kind: type[Tally] = Tally,
    progress: Progress | None = None,
) -> Done:
    """The same history under each book, in one reading.

    A record that breaks the engine is put aside, as in a worker: all begins anew, knowing it.
    """
    poison: list[list[Poison]] = [[{} for _ in range(shards)] for _ in books]
    with _few_collections():
        for _ in range(ATTEMPTS_MAX):
            tallies = [kind(book.shop.timezone) for book in books]
            engines = [
                Engine(book, shards, secret, tally.took, known)
                for book, tally, known in zip(books, tallies, poison, strict=True)
            ]
            try:
                start, end = asyncio.run(Drive(history, engines, span, shards, progress).run())
                return Done(tallies, start, end)
            except Poisoned:
                continue
    raise Stopped(f"{ATTEMPTS_MAX} records broke the engine: this is a fault of ours")


@contextmanager
def _few_collections() -> Iterator[None]:
    """As in the worker: many objects and no cycles, and looking for them costs a third."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def tried(book: Book, names: Iterable[str]) -> Book:
    """A book of these rules alone, each as if it were live; the whole book as it is if none."""
    wanted = sorted(set(names))
    for name in wanted:
        if name not in book.rules:
            known = f"{near(name, book.rules)}; there are: {one_of(book.rules)}"
            raise MappingError(f"no rule is called {name!r}{known}")
    if not wanted:
        return book
    rules = {name: replace(book.rules[name], status="live") for name in wanted}
    return Book.of(rules, book.shop, book.offers, book.sources, book.segments, book.templates)


class Drive:
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
        pending: list[Append] = []
        opened = 0
        for append, number in self.history.records(self.shards):
            if append.hint >= opened:
                end = (append.hint // self.step + 1) * self.step
                if self.end is not None and end > self.end:
                    break
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
