"""The door seals contacts: whose key, which fields, and that nothing else is touched."""

import copy

import msgspec
import pytest

from api.sealing import Sealing, customer_of
from engine.keys import Keys, opened
from engine.keystores import KeysAway, SqliteKeys
from engine.masterkey import MasterKey
from features import contact
from features.contact import CONTACTS, CONTEXT, DEVICE, REMOVED, TOKEN, TRAITS
from tests.made_events import NOW, event
from tests.unit.ingest_fixtures import open_shop

SECRET = b"secret-of-the-tests"
TRAITS_OF = {"email": "a@b.c", "phone": "138", "birthday": "1990-05-04", "city": "Hangzhou"}


@pytest.fixture
async def keys(tmp_path):
    made = Keys(SqliteKeys(tmp_path / "k.db"), MasterKey(tmp_path / "m", make=True), SECRET)
    yield made
    await made.close()


@pytest.fixture
async def shop(tmp_path, keys):
    async for one in open_shop(tmp_path, sealing=Sealing(keys)):
        yield one


async def test_the_log_holds_tokens_and_the_rest_as_it_came(shop, keys):
    body = {"userId": "u1", "messageId": "m", "traits": TRAITS_OF, "context": {"ip": "1.2.3.4"}}
    assert (await shop.post("/v1/identify", body)).status_code == 200
    [stored] = shop.stored()
    traits = stored["traits"]
    assert (traits["city"], traits["birthday_md"]) == ("Hangzhou", 504)
    for value in (traits["email"], traits["phone"], traits["birthday"], stored["context"]["ip"]):
        assert TOKEN.fullmatch(value)
    mine = (await keys.known(["u:u1"])).values()
    assert opened(traits, mine) == {**TRAITS_OF, "birthday_md": 504}


async def test_the_same_call_again_is_the_same_record(shop):
    for _ in range(2):
        await shop.post("/v1/identify", {"userId": "u1", "traits": TRAITS_OF, "timestamp": NOW})
    one, other = shop.stored()
    assert one == other


async def test_shared_context_is_sealed_for_each_customer_of_a_batch(shop, keys):
    items = [
        {"type": "track", "event": "Cart Viewed", "userId": "u1"},
        {"type": "track", "event": "Cart Viewed", "userId": "u2", "context": {"ip": "9.9.9.9"}},
    ]
    context = {"ip": "1.1.1.1", "traits": {"email": "x@y.z"}, "locale": "zh"}
    await shop.post("/v1/batch", {"batch": items, "context": context})
    found = {stored["userId"]: stored["context"] for stored in shop.stored()}
    for name, ip in (("u1", "1.1.1.1"), ("u2", "9.9.9.9")):
        plain = opened(found[name], (await keys.known([f"u:{name}"])).values())
        assert plain == {"ip": ip, "traits": {"email": "x@y.z"}, "locale": "zh"}


async def test_quarantine_holds_tokens_too_and_nothing_of_nobody(shop):
    bad = {"type": "identify", "userId": "u1", "traits": {"email": "a@b.c"}, "timestamp": "soon"}
    nobody = {"type": "identify", "traits": {"email": "a@b.c"}}
    await shop.post("/v1/batch", {"batch": [bad, nobody, "no object"]})
    bodies = [row["body"] for row in shop.rejected()]
    assert len(bodies) == 3
    assert not [body for body in bodies if "a@b.c" in body]
    assert sum(REMOVED in body for body in bodies) == 1


async def test_while_the_keys_are_away_the_sender_waits_but_only_with_contacts(shop, keys):
    async def away(*_):
        raise KeysAway("the store is on fire")

    keys.store.get = away
    answer = await shop.post("/v1/identify", {"userId": "u1", "traits": TRAITS_OF})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    answer = await shop.post("/v1/track", {"userId": "u1", "event": "Cart Viewed"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("part", "names"),
    [("traits", TRAITS), ("properties", CONTACTS), ("context", CONTEXT)],
)
def test_every_listed_field_is_found_and_sealed(part, names):
    for name in names:
        item = {part: {name: "secret", "other": "kept"}}
        before = copy.deepcopy(item)
        assert contact.carries(item)
        assert contact.sealed(item, lambda _: "T")[part] == {name: "T", "other": "kept"}
        assert item == before


def test_devices_and_nested_traits_are_sealed_and_names_of_things_are_not():
    for name in DEVICE:
        item = {"context": {"device": {name: "secret", "type": "ios"}}}
        assert contact.carries(item)
        found = contact.sealed(item, lambda _: "T")
        assert found["context"]["device"] == {name: "T", "type": "ios"}
    thing = {"properties": {"name": "a kettle", "product_id": "p"}, "context": {"page": {}}}
    assert not contact.carries(thing)
    assert not contact.carries({"properties": None, "traits": [], "context": "x"})


@pytest.mark.parametrize("value", [10**30, "\ud800", {"a": [float("inf")]}, [], {}])
async def test_any_value_is_sealed_or_taken_out(keys, value):
    item = {"userId": "u1", "traits": {"email": value}}
    await Sealing(keys).call(item)
    assert TOKEN.fullmatch(item["traits"]["email"]) or item["traits"]["email"] == REMOVED


@pytest.mark.parametrize(
    ("item", "cid"),
    [
        ({"userId": "u", "anonymousId": "a"}, "u:u"),
        ({"userId": "", "anonymousId": 5}, "a:5"),
        ({"userId": True, "anonymousId": "a"}, "a:a"),
        ({"userId": "\ud800"}, ""),
        ({"userId": "x" * 201}, ""),
        ({}, ""),
    ],
)
def test_the_key_is_that_of_the_events_own_customer(item, cid):
    assert customer_of(item) == cid


def test_the_facet_keeps_the_latest_sealed_address_of_each_kind():
    def identified(at, context=msgspec.Raw(b""), **traits):  # noqa: B008 - never changed
        state = contact.Contact()
        told = msgspec.structs.replace(event("Signed In", at), traits=traits, context=context)
        contact.fold(state, told, lambda *_: None)
        return state

    old, new = (f"enc:v1:{n * 16}:{n * 24}" for n in "ab")
    one = identified(1, email=old, phone=new, birthday_md=504)
    other = identified(2, email=new, push_token="plain")
    both = contact.merge(one, other)
    assert {kind: address.token for kind, address in both.addresses.items()} == {
        "email": new, "phone": new,
    }  # fmt: skip
    assert both.birthday_md == 504
    device = msgspec.Raw(b'{"device": {"token": "%s"}}' % old.encode())
    assert identified(3, device).addresses["push"].token == old
    read = {feature.name: feature.read(both, 0) for feature in contact.FACET.features}
    assert [read[f"contact.{kind}"] for kind in ("email", "phone", "push", "openid")] == [
        True, True, False, False,
    ]  # fmt: skip
