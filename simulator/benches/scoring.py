"""What models cost: microseconds an event, the learner's examples a second, bytes a snapshot.

Must live here: three engines in memory, side by side on the same events. Must not: a verdict.

    bare      neither examples nor scores
    examples  examples are opened and closed for the learner; no model is loaded
    full      and the models loaded that have learned from those examples

Each chunk of events goes through all three, one after the other, in turns; the figures are medians
over the chunks of the difference in CPU time, so that what the machine does besides cancels out.
Record time: after each chunk a tick fires what is due. Letters are carried to nobody.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any, Final
from unittest.mock import patch

import msgspec
import orjson
from rich.console import Console

from engine import baskets, decide, risking, said
from engine.effects import Settings
from engine.pipeline import Shard
from engine.records import MODEL, RULES, TICK, Append, Record
from engine.scores import SCORES
from engine.stores.memory import MemoryStore
from engine.versions import digest_of
from features.models.learners import LEARNERS
from features.models.model import Learner
from features.models.snapshot import pack
from rules.load import book_from_sources
from simulator.benches.parts import SECRET, four_rules, made_up

EVENTS: Final = 24_000
CHUNK: Final = 400
WARM_UP: Final = 0.25  # of the chunks: customers are new, caches empty
LOADED_BY: Final = 100  # examples
SCORED: Final = 300  # customers of whom each score is asked

_entry = msgspec.json.Decoder(dict[str, Any])


class Engine:
    """One shard that holds everybody, and what its commits wrote."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.shard = Shard(Settings(0, 1, SECRET, record_clock=True), self.store)
        self.offset = 0

    async def begin(self, digest: str = "", parts: dict[str, bytes] | None = None) -> None:
        """Under the four rules, and under models if they are given."""
        sources = four_rules()
        book = book_from_sources(sources)
        self.store.bodies["rules", book.hash] = orjson.dumps(sources)
        for name, body in (parts or {}).items():
            self.store.bodies["model", name] = body
        await self.shard.open()
        await self._control(RULES, book.hash)
        if digest:
            await self._control(MODEL, digest)

    async def _control(self, key: bytes, digest: str) -> None:
        body = orjson.dumps({"hash": digest})
        await self.shard.process([self._record(Append(0, key, body, 1))])

    def _record(self, item: Append) -> Record:
        record = Record(self.offset, item.hint, item.key, item.value)
        self.offset += 1
        return record

    async def take(self, items: Sequence[Append]) -> float:
        """A chunk of events and a tick of its end; CPU seconds."""
        end = items[-1].hint
        tick = Append(0, TICK, orjson.dumps({"at": end}), end)
        records = [self._record(one) for one in (*items, tick)]
        began = time.process_time()
        await self.shard.process(records)
        return time.process_time() - began

    def examples(self) -> Iterator[dict[str, Any]]:
        """All that the learner would have heard."""
        for _, body in self.store.shard(0).outbox:
            yield from _entry.decode(body).get("examples", ())


def measure(console: Console) -> dict[str, Any]:
    """All three figures."""
    return asyncio.run(_measure(console))


async def _measure(console: Console) -> dict[str, Any]:
    events = [one._replace(shard=0) for one in made_up(EVENTS)]
    first = Engine()
    await first.begin()
    chunks = [events[at : at + CHUNK] for at in range(0, len(events), CHUNK)]
    for chunk in chunks:
        await first.take(chunk)
    console.print(f"learning from {len(events):,} events …", style="dim")
    learners, learned = _learned(list(first.examples()))
    digest, parts, sizes = _published(learners)
    engines = {"bare": Engine(), "examples": Engine(), "full": Engine()}
    for name, engine in engines.items():
        await (engine.begin(digest, parts) if name == "full" else engine.begin())
    console.print("three engines, side by side …", style="dim")
    spent: dict[str, list[float]] = defaultdict(list)
    for number, chunk in enumerate(chunks):
        order = list(engines)
        for name in order[number % 3 :] + order[: number % 3]:
            with _deaf() if name == "bare" else ExitStack():
                seconds = await engines[name].take(chunk)
            if number >= len(chunks) * WARM_UP:
                spent[name].append(seconds * 1e6 / len(chunk))
    return {
        "events": len(events),
        "bare_us": round(median(spent["bare"]), 2),
        "examples_us": _added(spent, "examples", "bare"),
        "scoring_us": _added(spent, "full", "examples"),
        "added_us": _added(spent, "full", "bare"),
        "score_us": _scores(engines["full"]),
        **learned,
        "snapshot_bytes": sizes,
    }


def _added(spent: dict[str, list[float]], more: str, less: str) -> float:
    pairs = zip(spent[more], spent[less], strict=True)
    return round(median(with_ - without for with_, without in pairs), 2)


@contextmanager
def _deaf() -> Iterator[None]:
    """Nobody opens, closes or hands out an example."""

    def nothing(*_given: Any, **_named: Any) -> None:
        """In its place."""

    def never(_customer: Any) -> int:
        return 0

    silenced: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
        (decide, "observe", nothing), (decide, "expire", nothing), (decide, "next_look", never),
        (baskets, "observe", nothing), (said, "teach", nothing), (risking, "ordered", nothing),
    )  # fmt: skip
    with ExitStack() as held:
        for where, name, instead in silenced:
            held.enter_context(patch.object(where, name, instead))
        yield


def _learned(examples: list[dict[str, Any]]) -> tuple[dict[str, Learner], dict[str, Any]]:
    """The learners, and how many examples a second each of them took in."""
    learners = {name: kind() for name, kind in LEARNERS.items()}
    mine: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for example in examples:
        mine[example["model"]].append(example)
    rates, seconds = {}, 0.0
    for name, own in sorted(mine.items()):
        first = LEARNERS[name]()
        for example in own[:LOADED_BY]:  # what loads at first is no learning
            first.learn(example)
        began = time.process_time()
        for example in own:
            learners[name].learn(example)
        took = time.process_time() - began
        seconds += took
        rates[name] = round(len(own) / max(took, 1e-9))
    figures = {
        "examples": {name: len(own) for name, own in sorted(mine.items())},
        "examples_per_second": round(len(examples) / seconds),
        "examples_per_second_by_model": rates,
    }
    return learners, figures


def _published(
    learners: dict[str, Learner],
) -> tuple[str, dict[str, bytes], dict[str, dict[str, int]]]:
    """The manifest's digest, all its parts, and how large a model's scorer and state are."""
    parts: dict[str, bytes] = {}
    named: dict[str, str] = {}
    sizes: dict[str, dict[str, int]] = {}
    for name, learner in sorted(learners.items()):
        sizes[name] = {"state": len(pack({"state": learner.state()}, SECRET))}
        if weights := learner.weights():
            body = pack({"model": name, "weights": weights}, SECRET)
            named[name] = digest_of(body)
            parts[named[name]] = body
            sizes[name]["scorer"] = len(body)
    manifest = pack({"scorers": named, "learners": {}, "cursors": {}}, SECRET)
    parts[digest_of(manifest)] = manifest
    return digest_of(manifest), parts, sizes


def _scores(engine: Engine) -> dict[str, float]:
    """Microseconds that a rule pays for each score it reads, of those that can be had."""
    shard = engine.shard
    people = list(shard._warm.values())[-SCORED:]  # noqa: SLF001 - those at hand
    state = shard._state  # noqa: SLF001
    moment = shard._moment(state)  # noqa: SLF001
    found = {}
    for name, score in SCORES.items():
        taken = []
        for customer in people:
            began = time.perf_counter()
            value = score(customer, moment, state.log_time)
            taken.append((time.perf_counter() - began) * 1e6)
            if value is None:
                break
        else:
            found[name] = round(median(taken), 2)
    return found
