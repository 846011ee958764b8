"""A made-up shop lived under a book: what its people do, and what they answer when told of it.

Must live here: the steps of such a life, with the real engine in it. Must not: what a trial asks
of it (lift_trial.py, offers_life.py). A person's answers are a function of the seed and the
decision's id, so two lives of one world differ by what was decided and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, Final

from engine.effects import Effects
from engine.records import Append
from rules.book import Book
from simulator.backtest_engine import Engine
from simulator.doors import Item, to_record
from simulator.habits import DAY, MINUTE
from simulator.world import World

START: Final = 1_767_542_400_000  # 2026-01-05 00:00 in the shop's zone
STEP: Final = 30 * MINUTE
SHARDS: Final = 2
SECRET: Final = b"codes of a trial redeem nothing"
Told = Callable[[Effects], Iterable[Mapping[str, Any]]]  # the decisions that people hear of
Then = Callable[[Engine, int], object]  # what is done at a step's end (ms)


def nature(world: World, days: int, heard: Callable[[str], bool]) -> list[Append]:
    """What people do of their own, of the events that are heard, in order of time."""
    until = START + days * DAY
    found = [
        _record(item, until)
        for day in range(days)
        for item in world.step(START + day * DAY, START + (day + 1) * DAY)
        if heard(str(item.get("event", "")))
    ]
    return sorted(found, key=lambda append: append.hint)


async def lived(
    book: Book,
    world: World,
    happens: Sequence[Append],
    until: int,
    told: Told,
    then: Then = lambda _engine, _end: None,
) -> None:
    """Let an engine decide all of it, up to `until` (ms)."""
    heard: list[Mapping[str, Any]] = []
    engine = Engine(
        *(book, SHARDS, SECRET),
        lambda effects: heard.extend(told(effects)),
        [{} for _ in range(SHARDS)],
    )
    await engine.begin(START)
    answers: list[tuple[int, int, Append]] = []
    position = count = 0
    for end in range(START + STEP, until + 1, STEP):
        now: list[Append] = []
        while position < len(happens) and happens[position].hint < end:
            now.append(happens[position])
            position += 1
        while answers and answers[0][0] < end:
            now.append(heappop(answers)[2])
        now.sort(key=lambda append: append.hint)
        await engine.step(end, now)
        for row in heard:
            for happening in world.answers({**row, "at": max(int(row["at"]), end)}):
                count += 1
                heappush(answers, (happening.at, count, _record(happening.item, until)))
        heard.clear()
        then(engine, end)


def _record(item: Item, until: int) -> Append:
    return to_record(item, SHARDS, "trial", until)
