"""A backtest decides as the engine does: the same rows, twice the same bytes, whatever stands by."""

import asyncio
import json
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from engine.effects import Settings
from engine.records import LETTER, RULES, TICK, Append
from engine.shards import partition
from features.events import encode, key, parse
from rules.load import load_book, load_text, read_sources
from simulator.backtest import SECRET, backtest, run, tried
from simulator.backtest_history import Past
from simulator.backtest_page import write_page
from simulator.backtest_report import difference
from simulator.backtest_shown import notes, show
from simulator.backtest_tally import Tally
from simulator.benches.parts import made_up
from simulator.diff import diff, markdown
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

RULES_FOLDER = Path(__file__).resolve().parents[2] / "rules"
BOOK = load_book(RULES_FOLDER)
WEEK = 7 * DAY


class Made:
    """A history of records at hand."""

    name = "made up"

    def __init__(self, appends, step_ms=HOUR):
        self.appends, self.step_ms, self.total = appends, step_ms, len(appends)

    def records(self, shards):
        assert shards == 8
        return (Past(one, number) for number, one in enumerate(self.appends, start=1))

    def moment(self, text):
        return int(text)


class Rows(Tally):
    """A tally that keeps the rows themselves."""

    def took(self, effects):
        super().took(effects)
        self.__dict__.setdefault("rows", []).extend(effects.decisions)
        self.__dict__.setdefault("aside", []).extend(effects.quarantine)


def past(events):
    appends = []
    for number, (at, name, given) in enumerate(events):
        who = {k: given[k] for k in ("userId", "anonymousId") if k in given}
        item = {"type": given.get("type", "track"), "event": name, "messageId": f"m{number}", **who,
                "timestamp": START + at,
                "properties": {k: v for k, v in given.items() if k not in {*who, "type"}}}  # fmt: skip
        event = parse(item, source="test", received_at=START + at)
        of = key(event)
        appends.append(Append(partition(of, 8), of, encode(event), event.at))
    return Made(appends)


@pytest.fixture(scope="module")
def shop():
    return Made(sorted(made_up(3_000, customers=120), key=lambda one: one.hint))


class Lived(MemoryEngine):
    """The real shards on a store, driven step by step as a driver of record time does it."""

    async def begin(self, at):
        await self.open()
        for worker in self.workers:
            worker.settings = Settings(worker.number, self.shards, SECRET, record_clock=True)
        self.store.bodies["rules", BOOK.hash] = orjson.dumps(read_sources(RULES_FOLDER))
        for shard in range(self.shards):
            self.append(shard, RULES, orjson.dumps({"hash": BOOK.hash}), at)
        await self.close(at)

    async def close(self, end):
        for shard in range(self.shards):
            self.append(shard, TICK, b"{}", end)
        self.end, moved = end, True
        while moved:
            for worker in self.workers:
                await worker.process(self.logs[worker.number][worker.next_offset :])
            moved = self.carry()

    def append(self, shard, key_, value, at):
        super().append(shard, key_, value, self.end if key_ == LETTER else at)

    async def empty(self, until, step):
        while due := [at for n in range(8) for at in self.store.shard(n).alarms.values()]:
            end = self.end + max(1, -(-(min(due) - self.end) // step)) * step
            if end > until:
                return
            await self.close(end)


async def lived(history) -> list[dict]:
    engine, step, opened = Lived(shards=8), history.step_ms, 0
    for one in history.appends:
        end = (one.hint // step + 1) * step
        if end > opened:
            if opened:
                await engine.close(opened)
                await engine.empty(end - step, step)
            else:
                await engine.begin(end - step)
            opened = end
        engine.append(one.shard, one.key, one.value, one.hint)
    await engine.close(opened)
    return engine.decisions(acts=False)


async def test_rows_are_those_of_the_shards_on_a_store(shop):
    expected = await lived(shop)
    found = (await asyncio.to_thread(run, shop, [BOOK], kind=Rows)).tallies[0].rows
    assert len(expected) > 30
    assert any(row["result"] == "hold" for row in expected)
    assert any(row["cid"].startswith("a:") for row in expected)
    assert [_plain(row) for row in expected] == sorted((_plain(row) for row in found), key=_order)


def _order(row):
    return row["at"], row["rule"], row["decision_id"]


def _plain(row):
    """All of it but what tells of the log it was read from: ticks without work are left out."""
    row = json.loads(json.dumps(row))
    return {name: value for name, value in row.items() if name not in {"log_offset", "latency_ms"}}


def test_twice_the_same_bytes_whatever_the_step(shop):
    first, second = (json.dumps(backtest(shop, BOOK, window_ms=WEEK)) for _ in range(2))
    assert first == second
    found = json.loads(first)
    assert found["acts"] == len(found["decisions"]) > 30
    fine = Made(shop.appends, step_ms=MINUTE)
    same = run(fine, [BOOK], (None, found["to"]), kind=Rows).tallies[0].rows
    ids = {one["decision_id"] for one in found["decisions"]}
    assert ids <= {row["decision_id"] for row in same if row["result"] == "act"}


GREET = """
rule: greet
status: live
holdout: 0%
when: {event: Product Added}
if: cart.value >= 100
once_per: customer
limit: 1 per ever
do:
  - coupon: {offer: HI, off: 20, valid: 7d}
  - notify: {via: [push], template: hi}
"""
LATER = GREET.replace("once_per: customer", "once_per: cart").replace("greet", "later")


def shopping():
    events = [
        (0, "Product Added", {"userId": "a", "product_id": "p", "price": 60, "quantity": 1}),
        (HOUR, "Product Added", {"userId": "b", "product_id": "p", "price": 120, "quantity": 1}),
        (DAY, "Order Paid", {"userId": "b", "order_id": "o1", "total": 120}),
        (2 * DAY, "Product Added", {"userId": "a", "product_id": "q", "price": 60, "quantity": 1}),
        (20 * DAY, "Product Viewed", {"userId": "c", "product_id": "q"}),
    ]
    return past(events)


def test_who_when_what_cost_and_who_bought_after():
    found = backtest(shopping(), load_text(GREET), window_ms=WEEK)
    assert [(one["customer"], one["at"] - START) for one in found["decisions"]] == [
        ("u:b", HOUR),
        ("u:a", 2 * DAY),
    ]
    assert found["decisions"][0]["did"] == ["coupon HI", "notify hi"]
    assert (found["coupons"], found["cost"], found["customers"]) == (2, 40, 2)
    assert found["rules"]["greet"]["conversions"]["treated"] == {
        "customers": 2, "converted": 1, "rate": 0.5,
    }  # fmt: skip


def test_from_is_when_the_rules_come_into_force_and_what_was_before_is_known():
    found = backtest(shopping(), load_text(GREET), (START + DAY, None), window_ms=WEEK)
    assert [one["customer"] for one in found["decisions"]] == ["u:a"]  # the first item counts
    assert found["from"] == START + DAY
    ended = backtest(shopping(), load_text(GREET), (None, START + DAY), window_ms=WEEK)
    assert [one["customer"] for one in ended["decisions"]] == ["u:b"]
    assert ended["rules"]["greet"]["conversions"]["too_young"] == 1


def test_a_wait_fires_in_an_empty_step_and_not_beyond_the_end():
    waiting = GREET.replace("do:\n", "do:\n  - wait: 3d\n")
    found = backtest(shopping(), load_text(waiting), window_ms=WEEK)
    assert [one["at"] - START for one in found["decisions"]] == [5 * DAY]
    assert found["rules"]["greet"]["held"] == {"condition": 1}  # who had paid by then
    short = backtest(shopping(), load_text(waiting), (None, START + 4 * DAY), window_ms=WEEK)
    assert not short["decisions"]


def test_a_draft_is_run_only_when_it_is_named():
    draft = load_text(GREET.replace("status: live\n", ""))
    assert backtest(shopping(), draft, window_ms=WEEK)["not_run"] == {"greet": "draft"}
    assert backtest(shopping(), tried(draft, ["greet"]), window_ms=WEEK)["acts"] == 2
    with pytest.raises(ValueError, match=r"no rule is called 'gret'.*greet"):
        tried(draft, ["gret"])


def test_the_report_for_people_names_the_idle_apart_and_breaks_no_name(capsys, tmp_path):
    idle = GREET.replace("rule: greet", "rule: never-begins").replace(">= 100", ">= 10000")
    both = load_text(GREET.replace("rule: greet", "rule: greet-whoever-added") + "---" + idle)
    found = backtest(shopping(), both, window_ms=WEEK)
    found["collisions"] = {f"b{n}": n for n in range(1, 7)}
    assert notes(found) == [
        "nothing of this history began: never-begins",
        "one customer, one day, two rules (times): b6 6, b5 5, b4 4, b3 3, and 2 more pairs",
    ]
    show(found, Console(width=60), "shop")
    told = capsys.readouterr().out
    assert told.count("│ greet-whoever-added │") == 2
    write_page(found, tmp_path / "page.html", "shop")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<td>greet-whoever-added" in page
    assert "<td>never-begins" not in page


def test_two_ids_of_one_customer_count_as_one():
    history = past([
        (0, "Product Added", {"anonymousId": "x", "product_id": "p", "price": 150, "quantity": 1}),
        (HOUR, "identify", {"type": "identify", "userId": "a", "anonymousId": "x"}),
        (2 * HOUR, "Order Paid", {"userId": "a", "order_id": "o1", "total": 120}),
        (9 * DAY, "Product Viewed", {"userId": "a", "product_id": "p"}),
    ])  # fmt: skip
    found = backtest(history, load_text(GREET), window_ms=WEEK)
    assert [one["customer"] for one in found["decisions"]] == ["u:a"]
    assert found["rules"]["greet"]["conversions"]["treated"]["converted"] == 1


def test_a_record_that_breaks_the_engine_is_put_aside_as_a_worker_does(monkeypatch):
    from engine import run as engine_run  # noqa: PLC0415

    real = engine_run.decide

    def breaks(customer, event, moment, effects):
        fate = real(customer, event, moment, effects)
        if event.message_id == "m1":
            raise ZeroDivisionError("a fault of ours")
        return fate

    monkeypatch.setattr(engine_run, "decide", breaks)
    tally = run(shopping(), [load_text(GREET)], kind=Rows).tallies[0]
    assert [row["cid"] for row in tally.rows] == ["u:a"]
    assert [one["reason"] for one in tally.aside] == ["poison"]


def test_a_diff_says_who_is_gained_and_lost_and_what_meets():
    old = load_text(GREET)
    new = load_text(GREET.replace(">= 100", ">= 60") + "---" + LATER)
    found = diff(shopping(), old, new)
    assert found["customers"]["new"] == 2
    assert found["rules"]["greet"]["change"] == "changed"  # u:a is earlier
    assert found["rules"]["later"]["change"] == "added"
    assert found["collisions"]["greet + later"] == {"old": 0, "new": 1}
    told = markdown(found)
    assert "| later | added | 0 → 2 (+2) | 2 | 0 |" in told
    assert "greet + later 0 → 1 (+1)" in told
    assert diff(shopping(), old, old)["same"] == ["greet"]


def test_an_interval_says_nothing_without_two_arms():
    assert difference(10, 1, 0, 0)["lift"] is None
    found = difference(100, 30, 100, 30)
    assert found["lift"] == 0
    assert found["low"] < 0 < found["high"]
