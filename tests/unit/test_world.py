"""The made-up shop: the same for the same seed, as busy as it says, and plausible."""

import time
from collections import Counter

import pytest

from features.events import key, parse
from simulator.catalogue import Catalogue
from simulator.habits import DAY, HOUR, ZONE_MS
from simulator.people import Kind
from simulator.world import World

START = 1_767_542_400_000  # a midnight in Shanghai
PEOPLE = 300
ORDERS = {"Order Paid", "Order Completed"}


@pytest.fixture(scope="module")
def world():
    return World(7, PEOPLE, START)


@pytest.fixture(scope="module")
def days(world):
    return [world.step(START + d * DAY, START + (d + 1) * DAY) for d in range(70)]


@pytest.fixture(scope="module")
def items(days):
    return [item for day in days for item in day]


def at(item) -> int:
    return parse(item, source="t", received_at=2**42).at


def test_the_same_seed_tells_the_same_story_whatever_the_steps(days):
    other = World(7, PEOPLE, START)
    cut = [
        item
        for h in range(0, 48, 6)
        for item in other.step(START + h * HOUR, START + (h + 6) * HOUR)
    ]
    assert cut == days[0] + days[1]
    assert World(8, PEOPLE, START).step(START, START + DAY) != days[0]


def test_any_day_can_be_told_without_those_before_it(days):
    fresh = World(7, PEOPLE, START)
    assert fresh.step(START + 40 * DAY, START + 41 * DAY) == days[40]
    assert fresh.step(START + 3 * DAY, START + 4 * DAY) == days[3], "and back again"


def test_every_item_is_an_event_in_order_of_time():
    world = World(7, PEOPLE, START, retries=0)
    for number in (0, 33):
        items = world.step(START + number * DAY, START + (number + 1) * DAY)
        events = [parse(item, source="t", received_at=START + 99 * DAY) for item in items]
        times = [event.at for event in events]
        assert times[0] >= START + number * DAY
        assert times[-1] < START + (number + 1) * DAY
        assert times == sorted(times)
        assert all(key(event)[:2] in (b"u:", b"a:") for event in events)
        assert {event.channel for event in events} == {"app", "web", "wechat"}


def test_about_two_events_a_customer_a_day(days):
    busy = [len(day) / PEOPLE for day in days]
    assert 1.5 < sum(busy) / len(busy) < 3
    assert max(busy) < 2 * min(busy)


def test_message_ids_repeat_only_where_a_network_sent_twice(items):
    counts = Counter(item["messageId"] for item in items)
    twice = [name for name, count in counts.items() if count > 1]
    assert 0 < len(twice) < 0.01 * len(items)
    quiet = World(7, PEOPLE, START, retries=0).step(START, START + 9 * DAY)
    assert len({item["messageId"] for item in quiet}) == len(quiet)


def test_the_funnel_narrows(items):
    seen = Counter(item.get("event") for item in items)
    paid = len({item["properties"]["order_id"] for item in items if item.get("event") in ORDERS})
    steps = [
        seen["Product Viewed"],
        seen["Product Added"],
        seen["Checkout Started"],
        seen["Order Placed"],
        paid,
    ]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > 4 * steps[1] > 4 * steps[-1]
    assert seen["Order Refunded"] > 3
    for name in ("Products Searched", "Product Added to Wishlist", "Order Delivered", "Payment Expired",
                 "Signed Up", "Consent Updated", "Product Removed", "Cart Viewed", "Product Reviewed"):  # fmt: skip
        assert seen[name] > 10, name


def test_an_order_is_paid_after_it_was_placed_and_costs_what_its_lines_cost(items):
    placed, paid = {}, {}
    for item in items:
        if item.get("event") == "Order Placed":
            placed[item["properties"]["order_id"]] = item["properties"]["total"]
        elif item.get("event") in ORDERS and item["properties"]["order_id"] in placed:
            order = item["properties"]
            paid[order["order_id"]] = order["total"]
            lines = sum(round(line["price"] * 100) * line["quantity"] for line in order["products"])
            assert lines == round(order["total"] * 100)
    assert len(paid) > 100
    assert all(placed[order] == total for order, total in paid.items())


def test_visitors_become_known_on_devices_of_their_own_and_on_a_shared_one(items):
    links = {(i["anonymousId"], i["userId"]) for i in items if i["type"] == "identify"}
    before = {i["anonymousId"] for i in items if "userId" not in i}
    assert len({device for device, _ in links} & before) > 20, (
        "anonymous history that identify unites"
    )
    users = Counter(user for _, user in links)
    assert sum(count > 1 for count in users.values()) > 5, "two devices"
    shared = World(1, 400, START, retries=0)
    tablets: dict[str, set] = {}
    for d in range(40):
        for item in shared.step(START + d * DAY, START + (d + 1) * DAY):
            if item["anonymousId"].startswith("t"):
                tablets.setdefault(item["anonymousId"], set()).add(item.get("userId"))
    assert any(len(users) > 1 for users in tablets.values()), "a tablet that two people share"


def test_the_shipped_campaigns_have_something_to_do(days):
    carts, paid, last_order, views = Counter(), set(), {}, Counter()
    for number, day in enumerate(days):
        for item in day:
            who = item.get("userId") or item["anonymousId"]
            properties = item.get("properties", {})
            if item.get("event") == "Product Added":
                carts[properties["cart_id"]] += properties["price"] * properties["quantity"]
            elif item.get("event") == "Product Viewed":
                views[number, who, properties["product_id"]] += 1
            elif item.get("event") in ORDERS:
                paid.add(properties["cart_id"])
                last_order[who] = number
    assert sum(value >= 200 and cart not in paid for cart, value in carts.items()) > 70, "rescues"
    assert sum(count >= 3 for count in views.values()) > 70, "third views"
    assert sum(day < 10 for day in last_order.values()) > 5, "customers to win back"


def test_people_shop_by_day_and_most_in_the_evening(items):
    hours = Counter((at(item) + ZONE_MS) // HOUR % 24 for item in items[:20_000])
    assert hours[20] + hours[21] > 4 * (hours[3] + hours[4])


def test_the_truth_shows_in_who_buys_by_himself(world, items):
    people: dict[Kind, set] = {kind: set() for kind in Kind}
    orders: Counter = Counter()
    for item in items:
        if "userId" in item:
            kind = world.truth(f"u:{item['userId']}").kind
            people[kind].add(item["userId"])
            orders[kind] += item.get("event") in ORDERS
    mean = {kind: orders[kind] / len(people[kind]) for kind in (Kind.SURE, Kind.LOST)}
    assert mean[Kind.SURE] > mean[Kind.LOST]
    assert world.truth("u:stranger") is None
    assert world.truth("i:p0001") is None


def decision(number: int, cid: str, *, result: str = "act", coupon: bool = True) -> dict:
    actions = [{"kind": "notify", "name": "notify:cart_coupon", "via": ["push"], "channel": "push"}]
    if coupon:
        actions.append({"kind": "coupon", "name": "coupon:SAVE", "code": "ABC"})
    return {
        "decision_id": f"D{number:025d}",
        "cid": cid,
        "at": START + HOUR,
        "result": result,
        "actions": actions,
    }


def test_people_react_to_what_acts_and_only_then():
    world, calm = World(5, 60, START, retries=0), World(5, 60, START, retries=0)
    world.step(START, START + HOUR)
    for number in range(60):
        world.react(decision(number, f"u:u{100_000 + number}"))
        world.react(decision(100 + number, f"u:u{100_000 + number}", result="hold"))
    world.react(decision(999, "u:stranger"))
    told = world.step(START + HOUR, START + 3 * DAY)
    without = {item["messageId"] for item in calm.step(START, START + 3 * DAY)}
    more = [item for item in told if item["messageId"] not in without]
    seen = Counter(item["event"] for item in more)
    assert 50 <= seen["Message Delivered"] <= 60
    assert seen["Message Delivered"] > seen["Message Opened"] > seen["Message Clicked"] > 0
    bought = [i for i in more if i["event"] in ORDERS]
    assert bought
    assert all(i["properties"]["coupon"] == "ABC" for i in bought)
    assert {world.truth(f"u:{i['userId']}").kind for i in bought} == {Kind.PERSUADABLE}


def test_the_catalogue_is_the_same_for_the_same_seed():
    assert Catalogue(3).products == Catalogue(3).products
    assert len({p.product_id for p in Catalogue(3).products}) == len(Catalogue(3).products) > 200
    assert all(9 <= p.price < 20_000 for p in Catalogue(3).products)


def test_it_is_quick():
    world = World(2, 2_000, START)
    began = time.process_time()
    count = sum(len(world.step(START + d * DAY, START + (d + 1) * DAY)) for d in range(5))
    days = 5 + 12  # those before it that still have something to say
    assert count * days / 5 / (time.process_time() - began) > 10_000
