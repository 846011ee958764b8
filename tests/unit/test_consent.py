import math

from features import catalog
from features.customer import Customer
from features.facet import ENCODER
from tests.made_events import DAY, NOW, Shopper, event


def agreed(channels, at=NOW, **more):
    return event("Consent Updated", at, channels=channels, **more)


def left(channel, at=NOW):
    return event("Message Unsubscribed", at, channel=channel)


def test_never_asked_is_not_no_channels():
    shopper = Shopper()
    assert shopper["consent.marketing"] is None
    assert math.isnan(shopper["consent.days_since_updated"])
    assert shopper.see(agreed([], purpose="marketing"))["consent.marketing"] == []


def test_the_latest_word_holds():
    shopper = Shopper().see(agreed(["Push ", "sms", "push"], NOW - DAY, purpose="marketing"))
    assert shopper["consent.marketing"] == ["push", "sms"]
    assert shopper["consent.days_since_updated"] == 1
    assert shopper.see(agreed(["email"], NOW - 2 * DAY))["consent.marketing"] == ["push", "sms"]
    assert shopper.see(agreed(["wechat"]))["consent.marketing"] == ["wechat"]


def test_another_purpose_is_another_word():
    shopper = Shopper().see(agreed(["sms"], purpose="service"))
    assert shopper["consent.marketing"] is None
    assert math.isnan(shopper["consent.days_since_updated"])


def test_unsubscribing_and_coming_back():
    shopper = Shopper().see(agreed(["push", "sms"], NOW - 9), left("sms", NOW - 5))
    assert shopper["consent.marketing"] == ["push"]
    assert shopper["consent.unsubscribed"] == ["sms"]
    shopper.see(agreed(["sms"], NOW))
    assert shopper["consent.marketing"] == ["sms"]
    assert shopper["consent.unsubscribed"] == []


def test_unsubscribing_without_having_been_asked():
    shopper = Shopper().see(left("sms"), event("Message Unsubscribed"))
    assert shopper["consent.marketing"] is None
    assert shopper["consent.unsubscribed"] == ["sms"]


def test_marketing_is_kept_whatever_else_is_said():
    shopper = Shopper().see(*(agreed(["x"], purpose=f"p{n}") for n in range(9)), agreed(["push"]))
    assert shopper["consent.marketing"] == ["push"]
    other = Shopper().see(*(agreed(["x"], NOW + n, purpose=f"q{n}") for n in range(9)))
    catalog.merge(shopper.customer, other.customer)
    assert shopper["consent.marketing"] == ["push"]
    assert len(shopper.customer.state("consent").purposes) == 4


def test_uniting_takes_the_later_word():
    mine, theirs = Shopper().see(agreed(["push"], NOW - 5)), Shopper().see(agreed([], NOW))
    catalog.merge(mine.customer, theirs.customer)
    assert mine["consent.marketing"] == []


def bounced(channel, at=NOW, **more):
    return event("Message Bounced", at, channel=channel, **more)


def test_a_bounce_closes_the_channel_until_he_agrees_to_it_again():
    shopper = Shopper().see(agreed(["email", "sms"], NOW - 9), bounced("Email", NOW - 5))
    assert shopper["consent.marketing"] == ["sms"]
    assert shopper["consent.unsubscribed"] == shopper["consent.bounced"] == ["email"]
    shopper.see(agreed(["email"]))
    assert shopper["consent.marketing"] == ["email"]
    assert shopper["consent.unsubscribed"] == shopper["consent.bounced"] == []


def test_a_soft_bounce_closes_nothing():
    assert Shopper().see(bounced("sms", kind="soft"))["consent.unsubscribed"] == []


def test_uniting_keeps_the_bounces_of_both():
    mine, theirs = Shopper().see(bounced("sms")), Shopper().see(bounced("email"))
    catalog.merge(mine.customer, theirs.customer)
    assert mine["consent.bounced"] == ["email", "sms"]


def test_a_blob_from_before_bounces_is_read():
    """As version 1 wrote it: purposes and unsubscribed, nothing more."""
    blob = ENCODER.encode({"consent": (1, [{"marketing": [5, ["sms", "push"]]}, {"sms": 7}])})
    customer = Customer.decode("u:1", blob, catalog.REGISTRY)
    assert catalog.value(customer, "consent.marketing", NOW) == ["push"]
    catalog.apply(customer, bounced("push"), lambda *_: None)
    again = Customer.decode("u:1", customer.encode(), catalog.REGISTRY)
    assert catalog.value(again, "consent.unsubscribed", NOW) == ["push", "sms"]
