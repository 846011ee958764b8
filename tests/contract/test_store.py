"""Both stores: one writer, a comparing commit, timers and the index in order."""

import pytest
from redis.asyncio import Redis

from engine.logs import redis_server
from engine.store import Commit, Position, Store
from engine.stores.memory import MemoryStore
from engine.stores.redis import RedisStore


@pytest.fixture(params=["memory", "redis"])
async def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryStore()
        return
    server = redis_server.start(tmp_path)
    try:
        url = redis_server.url(tmp_path)
        redis_server.wait_ready(server, url, tmp_path / "redis.log")
        client = Redis.from_url(url)
        yield RedisStore(client)
        await client.aclose()
    finally:
        redis_server.stop(server)


def commit(before: int, after: int, *, token: bytes = b"me", **changes) -> Commit:
    whole = {"blobs": {}, "alarms": {}, "listed": {}} | changes
    return Commit(
        3, token, Position(before), Position(after), b"state", whole["blobs"], whole["alarms"],
        f"{after}-0", b"{}", whole["listed"],
    )  # fmt: skip


async def test_a_commit_is_read_back_whole(store: Store):
    assert await store.claim(3, b"me") == (Position(0), None)
    assert await store.commit(commit(0, 5, blobs={"u:1": b"one"}, alarms={"u:1": 70}))
    found = await store.prefetch(3, ["u:1", "u:2"])
    assert found == (b"me", Position(5), [b"one", None])
    assert await store.claim(3, b"you") == (Position(5), b"state")


async def test_who_is_not_the_owner_or_stands_elsewhere_changes_nothing(store: Store):
    await store.claim(3, b"me")
    assert await store.commit(commit(0, 5, blobs={"u:1": b"one"}))
    wrong = {"blobs": {"u:1": b"two"}, "alarms": {"u:1": 1}, "listed": {"c\0u:1": True}}
    assert not await store.commit(commit(5, 6, token=b"another", **wrong))
    assert not await store.commit(commit(4, 6, **wrong))
    assert (await store.prefetch(3, ["u:1"])).blobs == [b"one"]
    assert await store.due(3, 99, 9) == []
    assert await store.listed(3, "c\0", "", 9) == []


async def test_timers_are_due_in_order_and_taken_away(store: Store):
    await store.claim(3, b"me")
    await store.commit(commit(0, 1, alarms={"u:b": 20, "u:a": 20, "u:c": 10, "u:d": 30}))
    assert await store.due(3, 20, 9) == ["u:c", "u:a", "u:b"]
    assert await store.due(3, 20, 2) == ["u:c", "u:a"]
    await store.commit(commit(1, 2, alarms={"u:c": 0, "u:a": 40}))
    assert await store.due(3, 99, 9) == ["u:b", "u:d", "u:a"]


async def test_an_empty_blob_takes_the_customer_away(store: Store):
    await store.claim(3, b"me")
    await store.commit(commit(0, 1, blobs={"u:1": b"one", "u:2": b"two"}))
    await store.commit(commit(1, 2, blobs={"u:1": b""}))
    assert (await store.prefetch(3, ["u:1", "u:2"])).blobs == [None, b"two"]


async def test_the_index_is_read_in_order_from_any_member_on(store: Store):
    await store.claim(3, b"me")
    names = [f"c\0u:{n}" for n in ("1", "客", "12", "a")]
    await store.commit(commit(0, 1, listed=dict.fromkeys([*names, "b\0x", "d\0x"], True)))
    wanted = sorted(names, key=str.encode)
    assert await store.listed(3, "c\0", "", 9) == wanted
    assert await store.listed(3, "c\0", wanted[0], 2) == wanted[1:3]
    assert await store.listed(3, "c\0", wanted[-1], 2) == []
    await store.commit(commit(1, 2, listed={wanted[1]: False, "c\0u:0": True, "c\0none": False}))
    assert await store.listed(3, "c\0", "", 9) == ["c\0u:0", wanted[0], *wanted[2:]]
