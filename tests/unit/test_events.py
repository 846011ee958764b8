import datetime as dt

import orjson
import pytest

from features.catalog import EVENT_PROPERTIES
from features.events import GA4_NAMES, NAMES, BadEvent, Event, decode, encode, key, parse
from features.vocabulary import NOT_BY_CUSTOMER, PAID, PROPERTY_KINDS
from tests.made_events import DAY, HOUR, MINUTE, NOW


def call(**fields):
    return {"type": "track", "event": "Product Viewed", "userId": "u1", "messageId": "m1"} | fields


def taken(item=None, *, trusted=True, sent_at=None, received_at=NOW, **fields):
    return parse(
        item or call(**fields),
        source="web",
        received_at=received_at,
        sent_at=sent_at,
        trusted=trusted,
    )


def refused(reason, detail="", **options):
    with pytest.raises(BadEvent) as caught:
        taken(**options)
    assert caught.value.reason == reason
    assert detail in caught.value.detail, caught.value.detail


def iso(at):
    return dt.datetime.fromtimestamp(at / 1000, dt.UTC).isoformat()


def test_a_whole_event_through_the_rim_and_the_log():
    event = taken(
        anonymousId="a1", timestamp="2026-09-21T20:00:00.250+08:00",
        properties={"product_id": 17, "price": "12.50", "quantity": "2", "own": {"x": [1, None]}},
        context={"library": {"name": "analytics.js"}, "sessionId": 1789},
        received_at=1_900_000_000_000,
    )  # fmt: skip
    assert event.at == 1_789_992_000_250
    assert event.properties == {
        "product_id": "17", "price": 12.5, "quantity": 2, "own": {"x": [1, None]},
    }  # fmt: skip
    assert (event.channel, event.session_id, event.source) == ("web", "1789", "web")
    log = encode(event)
    assert decode(log) == event
    assert orjson.loads(log)["event"] == "Product Viewed"
    assert orjson.loads(log)["context"]["sessionId"] == 1789
    assert {"previousId", "traits", "row"}.isdisjoint(orjson.loads(log))


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"{}", b'{"type":5}', b"\xff"])
def test_what_is_no_event_in_the_log_is_a_bad_event(value):
    with pytest.raises(BadEvent) as caught:
        decode(value)
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({}, b"u:u1"),
        ({"userId": 7}, b"u:7"),
        ({"userId": None, "anonymousId": "x"}, b"a:x"),
        ({"userId": "", "anonymousId": "访客"}, "a:访客".encode()),
        ({"userId": "u", "anonymousId": "x"}, b"u:u"),
        ({"event": "Product Price Changed", "properties": {"product_id": 5}}, b"i:5"),
        ({"event": "Live Ended", "userId": None, "properties": {"live_id": "L"}}, b"i:L"),
        ({"type": "identify", "event": None}, b"u:u1"),
        ({"type": "alias", "previousId": "x"}, b"u:u1"),
    ],
)
def test_the_key_is_in_the_events_own_bytes(fields, want):
    assert key(taken(**fields)) == want


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("identify", "Identified"), ("page", "Page Viewed"), ("screen", "Screen Viewed"),
        ("group", "Group Identified"), ("alias", "Aliased"),
    ],
)  # fmt: skip
def test_calls_that_are_no_track_have_a_name_of_their_own(kind, name):
    event = taken(
        type=kind, event=None, name="Home", groupId=3, previousId="p", traits={"vip": True}
    )
    assert (event.type, event.name) == (kind, name)
    assert event.traits == {"vip": True}
    if kind == "group":
        assert event.properties["group_id"] == "3"
    if kind in {"page", "screen"}:
        assert event.properties["name"] == "Home"


@pytest.mark.parametrize(
    ("reason", "detail", "fields"),
    [
        ("unknown_type", "type: expected alias or", {"type": "trakc"}),
        ("unknown_type", "got None", {"type": None}),
        ("missing_event", "event: a track call", {"event": None}),
        ("missing_event", "only spaces", {"event": "  "}),
        ("bad_type", "event: expected text, got 5", {"event": 5}),
        ("too_long", "at most 200 characters, got 201", {"event": "e" * 201}),
        ("missing_id", "userId, anonymousId", {"userId": None}),
        ("missing_id", "userId, anonymousId", {"userId": ""}),
        ("too_long", "userId: expected at most 200", {"userId": "u" * 201}),
        ("too_long", "messageId", {"messageId": "u" * 201}),
        ("bad_type", "userId: expected text, got 1.5", {"userId": 1.5}),
        ("bad_type", "userId: expected text, got True", {"userId": True}),
        ("bad_type", "anonymousId: expected text, got a list", {"anonymousId": ["a"]}),
        ("missing_id", "an alias call needs both", {"type": "alias"}),
        ("missing_id", "groupId", {"type": "group"}),
        ("missing_id", "properties.product_id", {"event": "Product Launched"}),
        ("missing_id", "properties.live_id", {"event": "Live Started"}),
        ("missing_property", "properties.channels", {"event": "Consent Updated"}),
        ("bad_type", "properties: expected an object, got a list", {"properties": [1]}),
        ("bad_type", "traits: expected an object", {"traits": "vip"}),
        ("bad_type", "context: expected an object", {"context": "web"}),
        ("bad_time", "timestamp: expected ISO 8601 or epoch ms", {"timestamp": "yesterday"}),
        ("bad_time", "timestamp: expected a time from 1970 on", {"timestamp": -5}),
        ("bad_time", "timestamp", {"timestamp": [1]}),
        ("bad_time", "timestamp", {"timestamp": True}),
        ("bad_time", "timestamp", {"timestamp": float("nan")}),
        ("bad_time", "originalTimestamp", {"originalTimestamp": "9" * 5000}),
        ("bad_time", "timestamp", {"timestamp": "0001-01-01T00:00:00+23:59"}),
        ("bad_time", "sentAt", {"timestamp": NOW, "sentAt": "soon"}),
        ("bad_text", "UTF-8", {"userId": "\ud800"}),
        ("bad_text", "event", {"event": "a\udfffb"}),
    ],
)  # fmt: skip
def test_a_bad_event_says_what_where_and_what_is_allowed(reason, detail, fields):
    refused(reason, detail, **fields)


@pytest.mark.parametrize(
    ("reason", "detail", "properties"),
    [
        ("bad_number", "properties.price: expected a number, got 'abc'", {"price": "abc"}),
        ("bad_number", "properties.price", {"price": "NaN"}),
        ("bad_number", "properties.price", {"price": "1,299.00"}),
        ("bad_number", "properties.price", {"price": "１２"}),
        ("bad_number", "properties.price", {"price": "1_000"}),
        ("bad_number", "finite", {"price": float("nan")}),
        ("bad_number", "finite", {"price": float("inf")}),
        ("bad_number", "finite", {"total": 10**30}),
        ("bad_number", "properties.price: expected 0 to", {"price": -1}),
        ("bad_number", "properties.total: expected 0 to", {"total": 2e12}),
        ("bad_number", "whole number from 0, got -1", {"quantity": -1}),
        ("bad_number", "whole number", {"quantity": 1.5}),
        ("bad_number", "whole number", {"quantity": 2**31}),
        ("bad_number", "got a number of too many digits", {"price": 10**5000}),
        ("bad_number", "own: expected a finite number", {"own": 10**5000}),
        ("bad_type", "properties.product_id: expected text, got a number", {"product_id": 10**5000}),
        ("bad_type", "properties.price: expected a number, got True", {"price": True}),
        ("bad_type", "properties.price: expected a number, got a list", {"price": [1]}),
        ("bad_type", "properties.category: expected text, got a list", {"category": ["a"]}),
        ("bad_type", "properties.by_bot: expected true or false", {"by_bot": "perhaps"}),
        ("too_long", "properties.product_id", {"product_id": "p" * 201}),
        ("bad_time", "properties.promised_ship_at", {"promised_ship_at": "soon"}),
        ("bad_type", "properties.channels: expected a list", {"channels": "push"}),
        ("bad_type", "properties.channels[1]: expected text", {"channels": ["push", {}]}),
        ("bad_type", "properties.products: expected a list", {"products": {}}),
        ("bad_type", "properties.products[0]: expected an object", {"products": ["p"]}),
        ("bad_number", "properties.products[1].price", {"products": [{}, {"price": "x"}]}),
        ("bad_type", "products[0].products: expected no products", {"products": [{"products": []}]}),
        ("bad_number", "properties.own.deep: expected a finite", {"own": {"deep": [2**70]}}),
        ("bad_text", "properties.own", {"own": ["\ud800"]}),
        ("bad_type", "expected a JSON value", {"own": {1, 2}}),
        ("bad_type", "expected text as a key", {5: "own"}),
    ],
)  # fmt: skip
def test_a_property_of_the_wrong_kind_is_named(reason, detail, properties):
    refused(reason, detail, properties=properties)


def nested(levels):
    value = {}
    for _ in range(levels - 1):
        value = {"x": value}
    return value


@pytest.mark.parametrize("where", ["properties", "traits", "context"])
def test_ten_levels_are_taken_and_eleven_refused(where):
    taken(**{where: nested(10)})
    refused("too_deep", "at most 10 levels", **{where: nested(11)})
    refused("too_deep", **{where: nested(5000)})


@pytest.mark.parametrize("name", ["products", "price", "category", "channels", "by_bot", "due_at"])
def test_what_is_bottomless_is_refused_in_few_words(name):
    value = []
    for _ in range(5000):
        value = [{"products": value}]
    refused("bad_time" if name == "due_at" else "bad_type", properties={name: value})
    for field in ("userId", "timestamp", "type", "event", "messageId"):
        with pytest.raises(BadEvent):
            taken(**{field: value})


def test_not_an_object():
    for item in ([1], "x", None, 5):
        with pytest.raises(BadEvent, match="event: expected an object"):
            parse(item, source="s", received_at=NOW)


def test_unknown_names_and_properties_are_legal():
    event = taken(event="灯笼 Lit 🏮", properties={"colour": "red", "price": None, "big": 1e15})
    assert event.name == "灯笼 Lit 🏮"
    assert event.properties == {"colour": "red", "big": 1e15}


class TestTime:
    def test_it_is_the_original_timestamp_and_never_later_than_received(self):
        assert taken(originalTimestamp=NOW - 5, timestamp=NOW - 9).at == NOW - 5
        assert taken(timestamp=iso(NOW - HOUR)).at == NOW - HOUR
        assert taken(timestamp=str(NOW - HOUR)).at == NOW - HOUR
        assert taken().at == NOW
        assert taken(timestamp=NOW + DAY).at == NOW

    def test_years_old_is_legal(self):
        assert taken(timestamp="2011-01-04T10:00:00").at == 1_294_135_200_000
        assert taken(timestamp="2011-01-04").at == 1_294_099_200_000
        assert taken(timestamp=0).at == 1

    def test_a_clock_off_by_five_minutes_is_left_alone(self):
        at = NOW - HOUR
        assert taken(timestamp=at, sent_at=NOW - 5 * MINUTE).at == at
        assert taken(timestamp=at, sent_at=NOW + 5 * MINUTE).at == at

    def test_a_clock_off_by_more_is_set_right(self):
        for skew in (-9 * HOUR, -6 * MINUTE, 6 * MINUTE, 400 * DAY):
            happened = NOW - HOUR
            event = taken(originalTimestamp=happened - skew, sent_at=NOW - skew)
            assert abs(event.at - happened) <= 150_000
        assert taken(timestamp=NOW - HOUR, sentAt=iso(NOW - 2 * HOUR)).at == NOW

    def test_a_retry_gets_the_same_time(self):
        skew = 3 * HOUR + 40_000
        first = taken(originalTimestamp=NOW - HOUR - skew, sent_at=NOW - skew)
        later = NOW + 20 * MINUTE
        again = taken(
            originalTimestamp=NOW - HOUR - skew, sent_at=later - skew - 900, received_at=later
        )
        assert first.at == again.at


class TestMessageId:
    def test_a_missing_one_is_a_hash_of_the_items_own_bytes_without_sent_at(self):
        def made(**fields):
            return taken({k: v for k, v in call(**fields).items() if k != "messageId"}).message_id

        assert len(made()) == 32
        assert made(sentAt=iso(NOW)) == made(sentAt=iso(NOW - 1)) == made()
        assert made(properties={"a": 1, "b": 2}) == made(properties={"b": 2, "a": 1})
        assert len({made(), made(userId="u2"), made(timestamp=NOW), made(properties={"a": 1})}) == 4

    def test_sources_do_not_share_it(self):
        item = {"type": "track", "event": "X", "userId": "u"}
        ids = {parse(item, source=source, received_at=NOW).message_id for source in ("a", "b")}
        assert len(ids) == 2

    def test_a_number_is_text(self):
        assert taken(messageId=12).message_id == "12"


@pytest.mark.parametrize(
    "name",
    [
        "Order Paid", "Order Completed", "Order Refunded", "Order Cancelled", "Order Placed",
        "Order Anything", "Points Earned", "Points Given", "Consent Updated", "Erasure Requested",
        "Product Price Changed", "Live Started", "Coupon Redeemed", "Message Delivered",
        "Payment Expired", "Shipment Status Updated",
    ],
)  # fmt: skip
def test_a_browsers_key_may_not_assert(name):
    properties = {"order_id": "o", "product_id": "p", "live_id": "l", "channels": []}
    assert taken(event=name, properties=properties).name == name
    refused(
        "forbidden",
        f"{name!r} needs a server's key",
        trusted=False,
        event=name,
        properties=properties,
    )
    refused("forbidden", trusted=False, event=f" {name} ", properties=properties)


@pytest.mark.parametrize(
    "name", ["Product Added", "Cart Emptied", "Coupon Applied", "Ticket Opened"]
)
def test_a_browsers_key_may_tell(name):
    assert taken(trusted=False, event=name).name == name


@pytest.mark.parametrize(
    ("channel", "fields"),
    [
        ("web", {"context": {"library": {"name": "analytics.js"}}}),
        ("web", {"context": {"library": {"name": "RudderLabs JavaScript SDK"}}}),
        ("web", {"context": {"userAgent": "Mozilla/5.0"}}),
        ("server", {"context": {"library": {"name": "analytics-python"}}}),
        ("server", {"context": {"library": {"name": "@segment/analytics-node"}}}),
        ("app", {"context": {"library": {"name": "analytics-ios"}}}),
        ("app", {"context": {"library": {"name": "com.rudderstack.android.sdk"}}}),
        ("app", {"context": {"app": {"name": "Shop"}}}),
        ("app", {"channel": "mobile"}),
        ("wechat", {"context": {"userAgent": "Mozilla/5.0 MicroMessenger/8"}}),
        ("kiosk", {"context": {"channel": "Kiosk", "library": {"name": "analytics.js"}}}),
        ("kiosk", {"properties": {"channel": "kiosk"}}),
        ("", {"event": "Message Delivered", "properties": {"channel": "sms"}}),
        ("", {"event": "Ticket Opened", "properties": {"channel": "phone"}}),
        ("", {"context": {"channel": ["x"], "library": "x", "userAgent": 5, "device": []}}),
        ("", {"context": {"channel": "c" * 33}}),
    ],
)  # fmt: skip
def test_channel(channel, fields):
    assert taken(**fields).channel == channel


@pytest.mark.parametrize(
    ("device", "context"),
    [
        ("ios", {"device": {"type": "iOS"}}),
        ("ios", {"userAgent": "Mozilla/5.0 (iPhone; CPU) Mobile"}),
        ("tablet", {"userAgent": "Mozilla/5.0 (iPad; CPU) Mobile"}),
        ("android", {"userAgent": "Mozilla/5.0 (Linux; Android 14) Mobile"}),
        ("desktop", {"userAgent": "Mozilla/5.0 (Windows NT 10.0)"}),
        ("", {"userAgent": "curl/8"}),
        ("", {}),
    ],
)
def test_device(device, context):
    assert taken(context=context).device == device


def test_session():
    assert taken(properties={"session_id": 5}, context={"sessionId": 6}).session_id == "5"
    assert taken(context={"sessionId": [1]}).session_id == ""


def test_the_tables_agree():
    assert set(GA4_NAMES.values()) <= NAMES
    assert PAID <= NAMES
    assert NOT_BY_CUSTOMER <= NAMES
    assert EVENT_PROPERTIES["event.total"] == "number"
    assert EVENT_PROPERTIES["event.products"] == "list"
    assert len(EVENT_PROPERTIES) == len(PROPERTY_KINDS)


def test_an_event_does_not_share_its_defaults():
    one = Event(type="track", name="X", message_id="m", at=1, received_at=1, source="s")
    one.properties["x"] = 1
    one.row.append(1)
    other = Event(type="track", name="X", message_id="m", at=1, received_at=1, source="s")
    assert other.properties == {}
    assert other.row == []
