"""What a name in an expression stands for, and the code that reads it.

Law: a name is a feature of the scope, a property of the event or of one item of its list, or a
name the engine lays over; anything else is refused with the near miss.
"""

from collections.abc import Sequence
from typing import Final

from rules import terms
from rules.errors import BadText, near, one_of
from rules.scope import Kind, Known, Scope
from rules.terms import Term

TRUTHS: Final = {"true": True, "false": False, "True": True, "False": False}
_READERS: Final = {"number": "number", "text": "text", "list": "listed"}


class Names:
    """The names of one expression; notes what it reads, but for what has() only asks about."""

    def __init__(self, scope: Scope, *, overlay: bool) -> None:
        self.scope = scope
        self.overlay = overlay
        self.reads: dict[str, Term] = {}
        self.features: dict[str, Known] = {}
        self.laid: set[str] = set()
        self.asking = False
        self.item = ""

    @property
    def roots(self) -> set[str]:
        """The names that an item of any/all may not take."""
        facets = {name.partition(".")[0] for name in self.scope.features}
        facets |= {name.partition(".")[0] for name in self.scope.laid_over}
        return {"event", "customer", *TRUTHS, *facets}

    def term(self, root: str, parts: Sequence[str] = ()) -> Term:
        """A name, or a name with dotted parts."""
        is_item = bool(self.item) and root == self.item
        if is_item and not parts:
            return self._property(root, "any", "item", readable=False)
        if is_item or (root == "event" and parts):
            return self._of_event(root, parts)
        return self._known(".".join([root, *parts]))

    def _of_event(self, root: str, parts: Sequence[str]) -> Term:
        """`event.x`, or `p.x` inside any/all."""
        shown = f"{root}.{'.'.join(parts)}"
        if len(parts) > 1:
            raise BadText(f"`{shown}`: an event's properties are one deep: {root}.NAME")
        if root == "event" and self.scope.heard:
            self.laid.add(shown)
        elif root == "event" and not self.scope.event:
            raise BadText(
                f"`{shown}`: there is no event here, this is read again before every step; "
                "conditions on the event belong under `when:` in its own `if:`"
            )
        kind = self.scope.properties.get(parts[0], "any")
        function = "raw(event" if root == "event" else "field(item"
        code = f"{function}, {parts[0]!r})" if shown not in self.laid else f"extra.get({shown!r})"
        return self._property(shown, kind, code, readable=root == "event")

    def _property(self, shown: str, kind: Kind, code: str, *, readable: bool) -> Term:
        """A JSON value, read as `kind`; of any kind, it waits for what it meets."""
        name = shown if readable else ""

        def read(wanted: Kind) -> Term:
            if wanted == "flag":
                term = terms.flag_value(shown, f"flag({code})", name)
            elif wanted == "any":
                term = Term("any", shown, code=code, cast=read, name=name)
            else:
                term = Term(wanted, shown, code=f"{_READERS[wanted]}({code})", name=name)
            self._note(name, term)
            return term

        return read(kind)

    def _known(self, name: str) -> Term:
        """A feature of the catalog or a name laid over."""
        if name in self.scope.features:
            known = self.scope.features[name]
            self.features[name] = known
            code = f"read_{list(self.features).index(name)}(customer.state({known.facet!r}), now)"
            if self.overlay:
                code = f"(extra[{name!r}] if {name!r} in extra else {code})"
            kind = known.kind
        elif name in self.scope.laid_over:
            kind = self.scope.laid_over[name]
            self.laid.add(name)
            code = f"number(extra.get({name!r}))" if kind == "number" else f"extra.get({name!r})"
        else:
            raise BadText(self._unknown(name))
        if kind == "flag":
            term = terms.flag_value(name, code, name)
        else:
            term = Term(kind, name, code=code, name=name, exact=False)
        self._note(name, term)
        return term

    def _note(self, name: str, term: Term) -> None:
        if name and not self.asking:
            self.reads[name] = term

    def _unknown(self, name: str) -> str:
        """What to say of a name that is not in the catalog."""
        for closed in (name, f"{name.partition('.')[0]}.*"):
            if closed in self.scope.closed:
                return f"`{name}` {self.scope.closed[closed]}"
        names = [*self.scope.features, *self.scope.laid_over]
        missed = near(name, [*names, *TRUTHS, *(("event",) if self.scope.event else ())])
        facet = name.partition(".")[0]
        siblings = sorted(other for other in names if other.startswith(facet + "."))
        if "." not in name and not siblings:
            hint = missed or f': a text is written in quotes, "{name}"'
            return f"`{name}` is not a name here{hint}"
        if siblings:
            hint = missed or ":"
            return f"`{name}` is not in the catalog{hint} {facet} has {one_of(siblings)}"
        facets = sorted({other.partition(".")[0] for other in names if "." in other})
        return f"`{name}` is not in the catalog{missed or f': it has {one_of(facets)}'}"
