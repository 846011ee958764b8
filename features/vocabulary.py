"""The words of the shop: event names and the types of their properties, as tables.

Must live here: what docs and expressions must agree on. Must not: code that reads an event.
Names are Segment's e-commerce spec (v2), past tense, Title Case; ours stand where it has none.
A known property has one type wherever it appears; an unknown event or property is legal.
"""

from typing import Final

TYPES: Final = frozenset({"track", "identify", "page", "screen", "group", "alias"})

# The name an event of each other type goes by in rules and tables.
CALL_NAMES: Final = {
    "identify": "Identified",
    "page": "Page Viewed",
    "screen": "Screen Viewed",
    "group": "Group Identified",
    "alias": "Aliased",
}

BROWSING: Final = (
    "Products Searched",
    "Product List Viewed",
    "Product List Filtered",
    "Product Clicked",
    "Product Viewed",
    "Promotion Viewed",
    "Promotion Clicked",
    "Product Added to Wishlist",
    "Product Removed from Wishlist",
    "Product Shared",
    "Cart Shared",
    "Product Reviewed",
    "Live Stream Joined",
    "Live Stream Interacted",
    "Post Published",
    "Signed Up",
    "Signed In",
    "Survey Answered",
)
CART: Final = (
    "Product Added",
    "Product Removed",
    "Cart Viewed",
    "Cart Emptied",
    "Checkout Started",
    "Checkout Step Viewed",
    "Checkout Step Completed",
    "Payment Info Entered",
    "Coupon Entered",
    "Coupon Applied",
    "Coupon Denied",
    "Coupon Removed",
)
ORDERS: Final = (
    "Order Placed",
    "Order Paid",
    "Order Completed",
    "Order Updated",
    "Order Delivered",
    "Order Refunded",
    "Order Cancelled",
    "Payment Expired",
    "Deposit Paid",
)
AFTER_SALES: Final = (
    "Return Requested",
    "Exchange Requested",
    "Repair Requested",
    "Dispute Opened",
    "Guarantee Claimed",
    "Feedback Received",
    "Ticket Opened",
    "Ticket Reopened",
    "Referral Sent",
    "Referral Accepted",
    "Group Opened",
    "Group Joined",
)
# What the shop, a carrier or a channel says about the customer: he did not come back for these.
ABOUT_CUSTOMER: Final = (
    "Return Approved",
    "Return Received",
    "Dispute Resolved",
    "Ticket Assigned",
    "Ticket Replied",
    "Ticket Resolved",
    "Shipment Status Updated",
    "Pickup Ready",
    "Pickup Collected",
    "Group Completed",
    "Group Expired",
    "Coupon Issued",
    "Coupon Reserved",
    "Coupon Redeemed",
    "Coupon Released",
    "Coupon Reversed",
    "Coupon Voided",
    "Offer Shown",
    "Offer Claimed",
    "Points Earned",
    "Points Redeemed",
    "Points Expired",
    "Message Delivered",
    "Message Opened",
    "Message Clicked",
    "Message Bounced",
    "Message Failed",
    "Message Unsubscribed",
)
ACCOUNT: Final = ("Consent Updated", "Erasure Requested")

# About a thing: keyed by the property named here, `i:<id>`, and no customer is needed.
ITEM_EVENTS: Final = {
    "Product Price Changed": "product_id",
    "Product Stock Changed": "product_id",
    "Product Launched": "product_id",
    "Live Started": "live_id",
    "Live Ended": "live_id",
}

# About an entity of the shop that is no customer: keyed by the prefix and the property named here.
# Rules hear them as they hear a customer's: it has its own state, instances, caps and decisions.
ENTITY_EVENTS: Final = {
    "Complaint Spiked": ("m:", "merchant_id"),
    "Model Drifted": ("model:", "model"),
}
ENTITIES: Final = ("m:", "model:")  # a merchant, a model
THINGS: Final = ("i:", "b:", *ENTITIES)  # whatever is no customer

NAMES: Final = frozenset(
    (
        *CALL_NAMES.values(),
        *BROWSING,
        *CART,
        *ORDERS,
        *AFTER_SALES,
        *ABOUT_CUSTOMER,
        *ACCOUNT,
        *ITEM_EVENTS,
        *ENTITY_EVENTS,
    )
)

REVIEWED: Final = "Product Reviewed"
# Events whose `text` is read for what it says: reviews, and what comes by phone, mail or in public.
SAYING: Final = frozenset(
    (REVIEWED, "Survey Answered", "Ticket Opened", "Post Published", "Feedback Received")
)

# Order Completed and Order Paid are one fact, once per order_id.
PAID: Final = frozenset({"Order Completed", "Order Paid"})

# Events that are no sign of life of the customer himself: no visit begins, `inactive` runs on.
NOT_BY_CUSTOMER: Final = frozenset(
    (
        *ABOUT_CUSTOMER,
        *ITEM_EVENTS,
        *ENTITY_EVENTS,
        "Order Updated",
        "Order Delivered",
        "Order Refunded",
        "Order Cancelled",
        "Payment Expired",
        "Identified",
        "Aliased",
        "Group Identified",
    )
) - {"Message Opened", "Message Clicked", "Message Unsubscribed", "Pickup Collected"}

# A browser's key is public: whoever reads it must not be able to assert these for someone.
SERVER_ONLY: Final = frozenset((*ORDERS, *ABOUT_CUSTOMER, *ACCOUNT, *ITEM_EVENTS, *ENTITY_EVENTS))
SERVER_ONLY_PREFIXES: Final = ("Order ", "Points ", "Consent ")

# Events whose own `channel` property is that of a message or a ticket, not of the visit.
OTHER_CHANNEL_PREFIXES: Final = ("Message ", "Ticket ", "Feedback ")

# What a browser's key may not say of whom it identifies: it would buy him a better offer.
SERVER_ONLY_TRAITS: Final = frozenset({"tier", "member_tier"})

# text, id (text up to 200 characters), money (major units, 0 or more), count (whole, 0 or more),
# number, flag, time (kept as ms UTC), texts (a list of text), lines (a list of products)
PROPERTY_KINDS: Final = {
    "action": "text",
    "address_id": "id",
    "affiliation": "text",
    "amount": "money",
    "brand": "text",
    "by_bot": "flag",
    "cart_id": "id",
    "category": "text",
    "channel": "text",
    "channels": "texts",
    "checkout_id": "id",
    "code": "id",
    "cost": "money",
    "coupon": "id",
    "coupon_id": "id",
    "currency": "text",
    "decision_id": "id",
    "discount": "money",
    "due_at": "time",
    "expires_at": "time",
    "friend": "id",
    "group_id": "id",
    "hold_s": "number",
    "image_url": "text",
    "kind": "text",
    "list_id": "id",
    "live_id": "id",
    "merchant_id": "id",
    "most": "money",
    "name": "text",
    "offer": "text",
    "order_id": "id",
    "over": "money",
    "payment_id": "id",
    "points": "number",
    "position": "number",
    "price": "money",
    "product_id": "id",
    "products": "lines",
    "promised_delivery_at": "time",
    "promised_ship_at": "time",
    "promotion_id": "id",
    "purpose": "text",
    "quantity": "count",
    "query": "text",
    "rating": "number",
    "reason": "text",
    "referrer": "text",
    "refund_id": "id",
    "reservation_id": "id",
    "revenue": "money",
    "score": "number",
    "session_id": "id",
    "shipment_id": "id",
    "shipping": "money",
    "shop_id": "id",
    "sku": "id",
    "staff_id": "id",
    "status": "text",
    "store_id": "id",
    "subtotal": "money",
    "tax": "money",
    "team": "text",
    "text": "text",
    "text_version": "text",
    "ticket_id": "id",
    "topic": "text",
    "total": "money",
    "url": "text",
    "value": "number",
    "variant": "text",
}

# What an expression sees of each kind.
EXPRESSION_TYPES: Final = {
    "text": "text",
    "id": "text",
    "money": "number",
    "count": "number",
    "number": "number",
    "time": "number",
    "flag": "flag",
    "texts": "list",
    "lines": "list",
}

# Google Analytics 4's names, for importers.
GA4_NAMES: Final = {
    "search": "Products Searched",
    "view_item": "Product Viewed",
    "view_item_list": "Product List Viewed",
    "select_item": "Product Clicked",
    "add_to_cart": "Product Added",
    "remove_from_cart": "Product Removed",
    "view_cart": "Cart Viewed",
    "begin_checkout": "Checkout Started",
    "add_payment_info": "Payment Info Entered",
    "add_to_wishlist": "Product Added to Wishlist",
    "purchase": "Order Completed",
    "refund": "Order Refunded",
}
