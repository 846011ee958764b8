from features import catalog
from features.cart import Cart
from features.customer import Customer
from tests.made_events import NOW, Shopper, event


def nothing(table, row):
    pass


def test_one_never_seen_reads_as_empty_and_takes_one_byte():
    customer = Customer.decode("u:1", None, catalog.REGISTRY)
    assert catalog.value(customer, "cart.items", NOW) == 0
    assert customer.encode() == b"\x80"
    assert customer.names() == set()


def test_reading_changes_nothing():
    blob = Shopper().see(event("Product Added", product_id="p", price=3)).customer.encode()
    customer = Customer.decode("u:1", blob, catalog.REGISTRY)
    for name in catalog.FEATURES:
        catalog.value(customer, name, NOW)
    assert customer.encode() == blob


def test_encode_may_be_called_again_and_again():
    customer = Customer.decode("u:1", None, catalog.REGISTRY)
    catalog.apply(customer, event("Product Added", product_id="p"), nothing)
    first = customer.encode()
    assert customer.encode() == first
    catalog.apply(customer, event("Product Added", product_id="q"), nothing)
    assert customer.encode() != first


def test_a_facet_put_back_to_its_beginning_takes_no_room():
    customer = Shopper().see(event("Product Added", product_id="p")).customer
    assert customer.stored("cart")
    customer.put("cart", Cart())
    again = Customer.decode("u:1", customer.encode(), catalog.REGISTRY)
    assert again.stored("cart") is None


def test_a_small_customer_is_small():
    shopper = Shopper()
    sizes = []
    for n in range(3):
        shopper.see(
            event("Product Viewed", NOW + n, product_id=f"{2244074 + n}", category=f"{1464116 + n}")
        )
        sizes.append(len(shopper.customer.encode()))
    assert sizes[0] <= 210
    assert sizes[2] <= 300


def test_merge_takes_in_the_anonymous_history():
    known = Shopper().see(event("Order Paid", NOW - 10, order_id="o", total=8))
    visitor = Shopper().see(event("Product Added", NOW - 5, product_id="p", price=3))
    before = visitor.customer.encode()
    catalog.merge(known.customer, visitor.customer)
    assert known["orders.count"] == 1
    assert known["cart.value"] == 3
    assert known["visits.count"] == 1
    assert visitor.customer.encode() == before
