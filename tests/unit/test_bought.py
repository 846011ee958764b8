from features import catalog
from tests.made_events import DAY, NOW, Shopper, event


def order(number, *products, at=NOW):
    lines = [{"product_id": product, "price": 5, "quantity": 2} for product in products]
    return event("Order Paid", at, order_id=f"o{number}", total=10, products=lines)


def refund(number, *products, at=NOW):
    lines = [{"product_id": product} for product in products]
    return event(
        "Order Refunded", at, order_id=f"o{number}", refund_id=f"r{number}", products=lines
    )


def test_what_was_bought_last_comes_first():
    shopper = Shopper().see(order(1, "p", "q", at=NOW - 2 * DAY), order(2, "q", at=NOW - DAY))
    assert shopper["bought.products"] == ["q", "p"]
    assert shopper["bought.returned"] is None
    assert shopper.customer.state("bought").products["q"] == [2, NOW - DAY]


def test_one_order_is_bought_once_however_often_it_is_told():
    shopper = Shopper().see(order(1, "p"), order(1, "p"))
    assert shopper.customer.state("bought").products["p"][0] == 1


def test_what_none_is_left_of_is_returned_until_it_is_bought_again():
    shopper = Shopper().see(order(1, "p", "q"), refund(1, "p", "unknown"))
    assert shopper["bought.products"] == ["q"]
    assert shopper["bought.returned"] == ["p"]
    shopper.see(order(2, "p", at=NOW + 1))
    assert shopper["bought.products"] == ["p", "q"]


def test_the_last_hundred_of_both():
    mine = Shopper().see(*(order(n, f"m{n}", at=NOW - n) for n in range(110)))
    assert len(mine["bought.products"]) == 100
    other = Shopper().see(order(500, "m0", "new", at=NOW + 1))
    catalog.merge(mine.customer, other.customer)
    assert mine["bought.products"][:2] == ["m0", "new"]
    assert len(mine["bought.products"]) == 100
    assert mine.customer.state("bought").products["m0"] == [2, NOW + 1]
