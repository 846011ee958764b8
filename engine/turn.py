"""A customer's turn: he, the moment he is decided at, and where the effects go.

Must live here: what every part of a decision is handed, and how conditions are asked. Must not:
what is decided.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.effects import Effects, Moment
from engine.journal import Instance, Journey, memory, write
from engine.laid import over
from features import catalog
from features.customer import Customer
from features.events import Event
from rules.book import Book
from rules.expressions import Expr
from rules.model import Rule
from rules.values import Context


class Turn:
    """One customer, one record or timer; who asks for the `journey` may change it."""

    __slots__ = (
        *("book", "customer", "effects", "extra", "journey", "moment", "product", "shown"),
        "zone",
    )

    def __init__(self, customer: Customer, moment: Moment, effects: Effects) -> None:
        self.customer = customer
        self.moment = moment
        self.effects = effects
        self.book: Book = moment.book
        self.zone = self.book.shop.timezone
        self.extra: Mapping[str, Any] = moment.presets  # names laid over the catalog just now
        self.journey: Journey = write(customer).journey
        self.product = ""  # what the page that asks is about
        self.shown: Sequence[dict[str, Any]] = ()  # what a page was recommended, and has shown

    @property
    def birth(self) -> bytes:
        """The customer's birth id."""
        return memory(self.customer).identity.birth

    def about(self, rule: Rule, subject: str = "", instance: Instance | None = None) -> None:
        """What is asked from here on is asked for this rule, its subject and its instance."""
        self.extra = self.moment.presets
        if rule.laid:  # an example's own values go before them
            self.extra = {**over(self.customer, self.moment, rule, subject, instance), **self.extra}

    def holds(self, condition: Expr | None, event: Event | None, at: int) -> bool:
        """Whether a condition is surely true at `at` (ms); none always is."""
        return condition is None or condition.test(self.customer, event, at, self.extra)

    def context(self, at: int) -> Context:
        """What values are read from, as of `at` (ms)."""
        return Context(self.customer, None, at, self.extra)

    def read(self, feature: str, at: int) -> Any:
        """A feature of the customer at `at` (ms)."""
        if feature in self.extra:
            return self.extra[feature]
        return catalog.value(self.customer, feature, at)
