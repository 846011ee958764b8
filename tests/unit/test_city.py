from features.events import parse
from tests.made_events import DAY, NOW, Shopper


def lives(city, at=NOW):
    told = {"type": "identify", "userId": "1", "timestamp": at, "messageId": str(at)}
    return parse({**told, "traits": {"city": city}}, source="test", received_at=at)


def test_the_latest_city_that_was_named_holds():
    shopper = Shopper()
    assert shopper["city.name"] is None
    assert shopper.see(lives(" 杭州 "))["city.name"] == "杭州"
    assert shopper.see(lives("Oslo", NOW - DAY))["city.name"] == "杭州"
    assert shopper.see(lives("Oslo", NOW + DAY))["city.name"] == "Oslo"


def test_what_is_no_city_changes_nothing():
    shopper = Shopper().see(lives("Oslo"), lives(""), lives(7), lives(None))
    assert shopper["city.name"] == "Oslo"
    assert len(shopper.see(lives("x" * 1_000))["city.name"]) == 64
