"""The group commit: order, size, bounds, and that every waiting request gets its answer."""

import asyncio

import pytest

from api.appends import Appends
from engine.log import LogAway, LogFull
from engine.records import Append
from tests.fakes import MemoryLog


def items(*names):
    return [Append(0, b"u:1", str(name).encode()) for name in names]


def values(log):
    return [record.value.decode() for record in log.everything()]


async def test_requests_that_come_together_go_together_in_their_order():
    log = MemoryLog(1)
    log.seconds = 0.01
    appends = Appends(log)
    await asyncio.gather(*(appends.add(items(i)) for i in range(100)))
    assert values(log) == [str(i) for i in range(100)]
    assert log.groups == [100]


async def test_a_group_is_bounded_and_a_request_is_never_split():
    log = MemoryLog(1)
    appends = Appends(log, group_items=10)
    await asyncio.gather(*(appends.add(items(*range(4))) for _ in range(5)))
    assert log.groups == [8, 8, 4]
    await appends.add(items(*range(25)))
    assert log.groups[-1] == 25


async def test_it_answers_only_after_the_log():
    log = MemoryLog(1)
    log.seconds = 0.05
    waiting = asyncio.ensure_future(Appends(log).add(items(1)))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await waiting
    assert values(log) == ["1"]


@pytest.mark.parametrize(
    "fault", [LogAway("gone"), LogFull("full", 3), RuntimeError("we are wrong")]
)
async def test_a_fault_is_everybodys_answer_and_the_next_group_goes_on(fault):
    log = MemoryLog(1)
    log.fault = fault
    appends = Appends(log)
    told = await asyncio.gather(
        appends.add(items(1)), appends.add(items(2)), return_exceptions=True
    )
    assert told == [fault, fault]
    log.fault = None
    await appends.add(items(3))
    assert values(log) == ["3"]


async def test_too_much_waiting_is_refused_and_later_taken():
    log = MemoryLog(1)
    log.seconds = 0.02
    appends = Appends(log, group_items=2, waiting_items_max=4)
    calls = [asyncio.ensure_future(appends.add(items(i))) for i in range(6)]
    told = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in told] == [type(None)] * 4 + [LogFull] * 2
    await appends.add(items(9))
    assert values(log) == ["0", "1", "2", "3", "9"]


async def test_a_silent_log_is_away():
    log = MemoryLog(1)
    log.seconds = 5
    with pytest.raises(LogAway, match=r"within 0\.01 s"):
        await Appends(log, log_seconds_max=0.01).add(items(1))


async def test_a_request_cut_off_holds_nobody_up():
    log = MemoryLog(1)
    log.seconds = 0.02
    appends = Appends(log, group_items=1)
    first, second = (asyncio.ensure_future(appends.add(items(i))) for i in range(2))
    await asyncio.sleep(0.005)
    first.cancel()
    await second
    assert values(log) == ["0", "1"]


async def test_close_waits_for_what_was_taken():
    log = MemoryLog(1)
    log.seconds = 0.02
    appends = Appends(log)
    waiting = asyncio.ensure_future(appends.add(items(1)))
    await asyncio.sleep(0)
    await appends.close()
    assert values(log) == ["1"]
    await waiting
