"""The audit log in a real Redis: many writers make one chain, and what is done to it shows."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.asyncio import Redis

from engine.audit import HEAD, STREAM, AuditBroken, read, record, record_async, verify

SECRET = b"s" * 16


@pytest.fixture
def store(redis_empty):
    with redis_empty.client() as client:
        yield client


def verdict(store):
    return verify(*read(store), SECRET)


def test_writers_at_the_same_time_make_one_chain(store, redis_empty):
    def write(writer):
        return [record(store, SECRET, f"w{writer}", "user added", n=n) for n in range(25)]

    async def write_async():
        async with Redis.from_url(redis_empty.url) as client:
            return [await record_async(client, SECRET, "a", "user added") for _ in range(25)]

    with ThreadPoolExecutor(5) as threads:
        numbers = [threads.submit(write, writer) for writer in range(4)]
        alone = threads.submit(lambda: asyncio.run(write_async()))
        all_numbers = [n for written in (*numbers, alone) for n in written.result()]
    assert sorted(all_numbers) == list(range(1, 126))
    assert (verdict(store).entries, verdict(store).faults) == (125, ())


def test_more_than_a_page_is_read_whole(store, monkeypatch):
    monkeypatch.setattr("engine.audit.PAGE", 4)
    for count in range(1, 10):
        record(store, SECRET, "anna", "user added")
        assert (verdict(store).entries, verdict(store).faults) == (count, ())


@pytest.mark.parametrize("how", ["cut", "drop", "trim", "head", "older head", "forge", "all"])
def test_what_is_done_to_it_in_redis_is_found(store, how):
    for _ in range(4):
        record(store, SECRET, "anna", "user added")
    older = store.get(HEAD)
    record(store, SECRET, "anna", "user added")
    if how == "cut":
        store.xdel(STREAM, "5-0")
    elif how == "drop":
        store.xdel(STREAM, "2-0")
    elif how == "trim":
        store.xtrim(STREAM, maxlen=3, approximate=False)
    elif how == "head":
        store.delete(HEAD)
    elif how == "older head":
        store.set(HEAD, older)
    elif how == "forge":
        store.xadd(STREAM, {"e": b"{}", "h": "0" * 64}, id="6-0")
    elif how == "all":
        store.delete(STREAM)
    assert verdict(store).faults


def test_a_chain_whose_head_is_gone_is_not_begun_anew(store):
    record(store, SECRET, "anna", "user added")
    store.delete(HEAD)
    with pytest.raises(AuditBroken, match="takes no entry"):
        record(store, SECRET, "anna", "user added")
    assert verdict(store).faults
