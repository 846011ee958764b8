"""What every facet promises, whichever it is: found in the catalog, never named here."""

import copy
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import catalog
from features.customer import Customer, Registry
from features.facet import ENCODER, Facet, Feature, StateError
from tests.made_events import DAY, NOW, event, wild_events

FACETS = pytest.mark.parametrize("facet", catalog.FACETS.values(), ids=list(catalog.FACETS))
TYPES = {"number": (int, float), "text": str, "flag": bool, "list": list}
quick = settings(max_examples=25, deadline=None)


def nothing(table, row):
    assert table
    assert row


def folded(facet, events):
    """His facet after these events; `orders` is there too, for it tells what is a repeat."""
    registry = Registry({"orders": catalog.FACETS["orders"], facet.name: facet})
    customer = Customer.decode("u:1", None, registry)
    for one in events:
        catalog.apply(customer, one, nothing)
    return customer.state(facet.name)


def read(facet, state, now=NOW):
    return {feature.name: feature.read(state, now) for feature in facet.features}


def proper(feature, value):
    if value is None:
        return feature.type != "number"
    return isinstance(value, TYPES[feature.type]) and not (
        feature.type == "number" and isinstance(value, bool)
    )


def same(one, other):
    return one == other or (one != one and other != other)


def test_the_catalog_found_the_folder():
    assert {"cart", "orders", "visits", "windows", "consent"} <= set(catalog.FACETS)
    assert len(catalog.FEATURES) == sum(len(f.features) for f in catalog.FACETS.values())


@FACETS
def test_it_says_what_it_is(facet):
    assert facet.doc
    assert facet.features
    assert facet.version >= 1
    for feature in facet.features:
        assert feature.facet == facet.name
        assert feature.doc.endswith(".")
        assert feature.unit
        assert feature.type in TYPES


@FACETS
def test_initial_state_is_readable_and_takes_no_room(facet):
    for feature in facet.features:
        assert proper(feature, feature.read(facet.state(), NOW)), feature.name
    customer = Customer.decode("u:1", None, catalog.REGISTRY)
    customer.touch(facet.name)
    assert customer.encode() == Customer.decode("u:1", None, catalog.REGISTRY).encode()


@FACETS
def test_states_share_nothing(facet):
    assert msgspec.structs.asdict(facet.state()) == msgspec.structs.asdict(facet.state())
    for field in facet.state.__struct_fields__:
        value = getattr(facet.state(), field)
        if isinstance(value, dict | list):
            assert value is not getattr(facet.state(), field)


@FACETS
@quick
@given(events=st.lists(wild_events(), max_size=30))
def test_round_trip_and_proper_values(facet, events):
    state = folded(facet, events)
    again = facet.read(ENCODER.encode(state))
    assert again == state
    assert ENCODER.encode(again) == ENCODER.encode(state)
    for now in (NOW, NOW + 400 * DAY, NOW - 400 * DAY):
        values = read(facet, state, now)
        for feature in facet.features:
            value = values[feature.name]
            assert proper(feature, value), (feature.name, value)
            if feature.type == "number" and feature.unit in {"days", "hours", "minutes"}:
                assert math.isnan(value) or value >= 0


@FACETS
@quick
@given(events=st.lists(wild_events(), max_size=20))
def test_merge_with_nothing_changes_no_feature(facet, events):
    state = folded(facet, events)
    before = ENCODER.encode(state)
    for united in (
        facet.merge(copy.deepcopy(state), facet.state()),
        facet.merge(facet.state(), copy.deepcopy(state)),
    ):
        want, got = read(facet, state), read(facet, united)
        assert all(same(want[name], got[name]) for name in want), (want, got)
    facet.merge(facet.state(), state)
    assert ENCODER.encode(state) == before


@FACETS
@quick
@given(mine=st.lists(wild_events(), max_size=15), theirs=st.lists(wild_events(), max_size=15))
def test_merge_can_be_stored_and_leaves_theirs_alone(facet, mine, theirs):
    one, other = folded(facet, mine), folded(facet, theirs)
    before = ENCODER.encode(other)
    united = facet.merge(one, other)
    assert facet.read(ENCODER.encode(united)) == united
    assert ENCODER.encode(other) == before
    for feature in facet.features:
        assert proper(feature, feature.read(united, NOW)), feature.name
    for _ in range(3):  # what is united is still one customer: nothing of it is theirs
        for event_ in mine:
            if facet.hears(event_.name):
                facet.fold(united, event_, nothing)
    assert ENCODER.encode(other) == before


@FACETS
def test_an_old_version_is_read_by_its_upgrade_and_a_newer_one_is_refused(facet):
    with pytest.raises(StateError, match=rf"{facet.name}: version 999 is not one of"):
        facet.upgrade(999, ENCODER.encode(facet.blank))
    for version, upgrade in facet.upgrades.items():
        assert version < facet.version
        assert callable(upgrade)


def test_only_the_facets_that_hear_an_event_are_touched():
    customer = Customer.decode("u:1", None, catalog.REGISTRY)
    catalog.apply(customer, event("Products Searched", query="伞"), nothing)
    assert customer.names() == {"searches", "seen", "visits", "windows"}


def test_an_item_event_touches_nobody():
    customer = Customer.decode("u:1", None, catalog.REGISTRY)
    catalog.apply(customer, event("Product Price Changed", product_id="p", price=3), nothing)
    assert customer.names() == set()


def test_an_unknown_facet_is_carried_as_it_came():
    blob = ENCODER.encode({"weather": (7, [1, {"rain": 2}]), "visits": (1, [1, 2, 3, 4])})
    customer = Customer.decode("u:1", blob, catalog.REGISTRY)
    catalog.apply(customer, event("Product Viewed", product_id="p"), nothing)
    stored = msgspec.msgpack.decode(customer.encode())
    assert stored["weather"] == [7, [1, {"rain": 2}]]
    assert "products" in stored
    other = Customer.decode("a:2", None, catalog.REGISTRY)
    catalog.merge(other, customer)
    assert msgspec.msgpack.decode(other.encode())["weather"] == [7, [1, {"rain": 2}]]


def test_a_blob_that_is_none_is_refused_by_name():
    with pytest.raises(StateError, match="customer u:1"):
        Customer.decode("u:1", b"\xff\x00", catalog.REGISTRY)


class Mood(msgspec.Struct, array_like=True):
    good: int = 0
    bad: int = 0


def upgradable(version):
    def fold(state, event_, emit):
        state.good += 1

    def old(data):
        return Mood(good=msgspec.msgpack.decode(data))

    return Facet(
        name="mood", version=version, state=Mood, fold=fold, merge=lambda mine, theirs: mine,
        events=frozenset({"Smiled"}), upgrades={1: old} if version == 2 else {},
        features=(Feature(name="mood.good", type="number", unit="smiles", doc="Smiles.",
                          read=lambda s, now: s.good),),
    )  # fmt: skip


def test_an_old_version_is_upgraded_when_read_and_kept_until_touched():
    registry = Registry({**catalog.FACETS, "mood": upgradable(2)})
    blob = ENCODER.encode({"mood": (1, 41)})
    customer = Customer.decode("u:1", blob, registry)
    assert catalog.value(customer, "mood.good", NOW) == 41
    assert customer.encode() == blob
    catalog.apply(customer, event("Smiled"), nothing)
    again = Customer.decode("u:1", customer.encode(), registry)
    assert catalog.value(again, "mood.good", NOW) == 42
    assert again.stored("mood") == (2, ENCODER.encode(Mood(42)))


def test_a_facet_under_another_name_is_refused():
    with pytest.raises(ValueError, match="'mood' is registered as 'humour'"):
        Registry({"humour": upgradable(2)})
