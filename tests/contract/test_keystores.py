"""Customers' keys, in every store: made once, found by all, wrapped anew, gone without a trace."""

import asyncio

import pytest

from engine.keys import Keys
from engine.keystores import RedisKeys, SqliteKeys
from engine.masterkey import MasterKey, MasterKeyError

SECRET = b"secret-of-the-tests"


@pytest.fixture(params=["sqlite", "redis"])
def make_store(request, tmp_path):
    """A function that opens the same store again, as another process would."""
    if request.param == "sqlite":
        return lambda: SqliteKeys(tmp_path / "keys.db")
    redis = request.getfixturevalue("redis_empty")
    return lambda: RedisKeys(redis.url)


@pytest.fixture
async def open_keys(make_store, tmp_path):
    opened = []

    def open_them():
        opened.append(Keys(make_store(), MasterKey(tmp_path / "m.key", make=True), SECRET))
        return opened[-1]

    yield open_them
    for keys in opened:
        await keys.close()


async def test_a_key_is_made_once_and_found_by_every_process(open_keys):
    one, other = open_keys(), open_keys()
    made = await asyncio.gather(one.of(["u:1", "u:2"]), other.of(["u:1", "u:2"]))
    assert {cid: key.id for cid, key in made[0].items()} == {
        cid: key.id for cid, key in made[1].items()
    }
    assert made[0]["u:1"].id != made[0]["u:2"].id
    assert await one.known(["u:3"]) == {}


async def test_a_new_file_is_opened_by_several_at_once(tmp_path):
    for turn in range(30):  # one in some hundred failed when each set it up as it came
        stores = [SqliteKeys(tmp_path / str(turn) / "keys.db") for _ in range(6)]
        assert await asyncio.gather(*(store.get(["n"]) for store in stores)) == [{}] * 6
        for store in stores:
            await store.close()


async def test_a_crowd_at_once_is_served_as_one_would_be(make_store):
    store = make_store()

    async def visitor(number):
        for turn in range(40):
            mine = {f"{number} {turn} {key}": b"%d" % key for key in range(20)}
            await store.add(mine)
            assert await store.get(list(mine)) == mine

    await asyncio.gather(*(visitor(number) for number in range(16)))
    await store.close()


async def test_the_same_value_is_the_same_token_and_only_its_key_opens_it(open_keys):
    keys = (await open_keys().of(["u:1", "u:2"])).values()
    mine, theirs = keys
    value = {"city": "上海", "lines": ["x", 7]}
    token = mine.seal(value)
    assert token == mine.seal(value)
    assert mine.seal(token) == token
    assert mine.open(token) == value
    assert theirs.open(token) is None
    assert mine.open(token[:-3] + "AAA") is None
    assert theirs.seal(token) != token
    assert token.startswith(f"enc:v1:{mine.id}:")


async def test_destroyed_is_destroyed_and_the_next_key_is_another(open_keys):
    keys = open_keys()
    token = (await keys.of(["u:1"]))["u:1"].seal("a@b.c")
    assert await keys.destroy(["u:1", "u:never"]) == 1
    assert await keys.known(["u:1"]) == {}
    assert (await keys.of(["u:1"]))["u:1"].open(token) is None
    assert await keys.destroy([]) == 0


async def test_rotation_wraps_all_keys_anew_and_the_old_master_opens_none(open_keys, tmp_path):
    keys = open_keys()
    token = (await keys.of([f"u:{n}" for n in range(1_200)]))["u:7"].seal("a@b.c")
    old = (tmp_path / "m.key").read_text()
    assert await keys.rotate(0.0) == 1_200
    fresh = open_keys()
    assert (await fresh.of(["u:7"]))["u:7"].open(token) == "a@b.c"
    (tmp_path / "m.key").write_text(old)
    with pytest.raises(MasterKeyError, match="is needed, and is not in it"):
        await open_keys().known(["u:7"])


async def test_a_rotation_cut_short_goes_on(open_keys, tmp_path):
    keys = open_keys()
    await keys.of(["u:1", "u:2"])
    keys.master.begin_rotation()
    assert len((tmp_path / "m.key").read_text().split()) == 2
    assert (await open_keys().known(["u:1"])).keys() == {"u:1"}
    first = (tmp_path / "m.key").read_text().split()[0]
    assert await keys.rotate(0.0) == 2
    assert (tmp_path / "m.key").read_text().split() == [first]


async def test_a_key_destroyed_while_it_is_wrapped_anew_stays_destroyed(make_store):
    store = make_store()
    await store.add({"a": b"one"})
    await store.remove(["a"])
    assert not await store.replace("a", b"one", b"two")
    assert await store.get(["a"]) == {}
    await store.add({"a": b"one"})
    await store.add({"a": b"three"})
    assert await store.replace("a", b"one", b"two")
    assert await store.get(["a"]) == {"a": b"two"}
    await store.close()


async def test_no_store_knows_an_id_and_none_keeps_a_removed_byte(make_store, tmp_path, request):
    store = make_store()
    await store.add({f"name-{n}": b"needle-%d" % n for n in range(600)})
    pages = [page async for page in store.pages()]
    assert sum(map(len, pages)) >= 600
    await store.remove([f"name-{n}" for n in range(600)])
    await store.close()
    folder = tmp_path
    if "redis" in request.node.callspec.id:
        folder = request.getfixturevalue("redis_empty").data
    held = [p for p in folder.rglob("*") if p.is_file() and b"needle-" in p.read_bytes()]
    assert not held


def test_the_master_key_is_its_owners_alone_and_says_what_is_wrong(tmp_path):
    path = tmp_path / "d" / "m.key"
    MasterKey(path, make=True).wrap(b"x" * 64)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(MasterKeyError, match="cannot read the master key"):
        MasterKey(tmp_path / "none").wrap(b"x" * 64)
    path.write_text("no key\n")
    with pytest.raises(MasterKeyError, match="64 hex digits"):
        MasterKey(path).wrap(b"x" * 64)
