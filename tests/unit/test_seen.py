import math

from features import catalog
from tests.made_events import DAY, NOW, Shopper, event


def on(channel, at, device=""):
    one = event("Product Viewed", at, channel=channel, product_id="p")
    one.device = device
    return one


def test_first_last_and_most_used():
    shopper = Shopper().see(
        on("web", NOW - 9 * DAY, "desktop"), on("app", NOW - 5 * DAY, "ios"),
        on("app", NOW - 4 * DAY, "ios"), on("wechat", NOW - DAY),
    )  # fmt: skip
    assert shopper["seen.days_since_first"] == 9
    assert shopper["seen.days_since_last"] == 1
    assert shopper["seen.first_channel"] == "web"
    assert shopper["seen.last_channel"] == "wechat"
    assert shopper["seen.channel"] == "app"
    assert shopper["seen.device"] == shopper["seen.last_device"] == "ios"
    assert shopper["seen.first_device"] == "desktop"


def test_never_seen():
    shopper = Shopper().see(event("Order Refunded", order_id="o"), event("Message Delivered"))
    assert math.isnan(shopper["seen.days_since_last"])
    assert shopper["seen.channel"] is None


def test_a_late_event_is_first_not_last():
    shopper = Shopper().see(on("web", NOW), on("app", NOW - DAY))
    assert shopper["seen.first_channel"] == "app"
    assert shopper["seen.last_channel"] == "web"
    assert shopper["seen.days_since_last"] == 0


def test_the_shops_servers_are_no_channel_of_his():
    shopper = Shopper().see(on("app", NOW - 2), on("server", NOW))
    assert shopper["seen.channel"] == shopper["seen.last_channel"] == "app"
    assert shopper["seen.days_since_last"] == 0


def test_eight_kinds_are_counted():
    shopper = Shopper().see(*(on(f"c{n}", NOW + n) for n in range(12)))
    assert len(shopper.customer.state("seen").channels) == 8
    assert shopper["seen.last_channel"] == "c11"


def test_uniting():
    mine, theirs = (
        Shopper().see(on("app", NOW)),
        Shopper().see(on("web", NOW - DAY), on("web", NOW - 5)),
    )
    catalog.merge(mine.customer, theirs.customer)
    assert mine["seen.first_channel"] == mine["seen.channel"] == "web"
    assert mine["seen.last_channel"] == "app"
    assert mine["seen.days_since_first"] == 1
