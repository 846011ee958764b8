"""A customer in memory: facets decoded when first read, encoded again once anything is touched.

Must live here: the blob's layout {facet: [version, state]} and the registry of facets.
Must not: what a facet means. A facet this program does not know is carried as it came.
"""

from collections.abc import Mapping
from typing import Any, Final, Self, cast

import msgspec

from features.facet import ENCODER, Facet, Feature, Fold, StateError

Packed = tuple[int, Any]  # a facet's version, and its state: as it came, or as it is now
_BLOB: Final = msgspec.msgpack.Decoder(dict[str, tuple[int, msgspec.Raw]])


class Registry:
    """The facets of a program, and which of them hear which event."""

    def __init__(self, facets: Mapping[str, Facet[Any]]) -> None:
        self.facets: dict[str, Facet[Any]] = dict(facets)
        for name, facet in self.facets.items():
            if name != facet.name:
                raise ValueError(f"facet {facet.name!r} is registered as {name!r}")
        self.features: dict[str, Feature] = {
            feature.name: feature for facet in self.facets.values() for feature in facet.features
        }
        self._folds: dict[str, tuple[tuple[str, Fold], ...]] = {
            name: self._hear(name)
            for facet in self.facets.values()
            for name in (*(facet.events or ()), *facet.ignores)
        }
        self._folds_of_all = self._hear("")

    def _hear(self, event_name: str) -> tuple[tuple[str, Fold], ...]:
        facets = self.facets.values()
        return tuple((facet.name, facet.fold) for facet in facets if facet.hears(event_name))

    def folds(self, event_name: str) -> tuple[tuple[str, Fold], ...]:
        """Facet and fold of all that hear this event; an unknown name has those that hear all."""
        return self._folds.get(event_name, self._folds_of_all)


class States(dict[str, Any]):
    """Facet -> its state, decoded when it is first asked for; the initial one if none is stored."""

    __slots__ = ("_facets", "_packed")

    def __init__(self, packed: dict[str, Packed], facets: Mapping[str, Facet[Any]]) -> None:
        self._packed = packed
        self._facets = facets

    def __missing__(self, name: str) -> Any:
        facet = self._facets[name]
        packed = self._packed.get(name)
        if packed is None:
            state = facet.state()
        elif packed[0] == facet.version:
            state = facet.read(packed[1])
        else:
            state = facet.upgrade(*packed)
        return self.setdefault(name, state)

    def peek(self, name: str) -> Any:
        """The state for reading alone: who has none shares the initial one with all the others."""
        found = self.get(name)
        if found is not None:
            return found
        return self[name] if name in self._packed else self._facets[name].blank


class Customer:
    """One customer's state. Not shared between batches; `encode` may be called at any time.

    `states` gives each facet's state; who changes one sets `dirty`, so that it will be stored.
    """

    __slots__ = ("_packed", "cid", "dirty", "registry", "states")

    def __init__(self, cid: str, packed: dict[str, Packed], registry: Registry) -> None:
        self.cid = cid
        self.registry = registry
        self.dirty = False
        self._packed = packed
        self.states = States(packed, registry.facets)

    @classmethod
    def decode(cls, cid: str, blob: bytes | None, registry: Registry) -> Self:
        """The customer stored in `blob`; None is one never seen."""
        if not blob:
            return cls(cid, {}, registry)
        try:
            return cls(cid, cast("dict[str, Packed]", _BLOB.decode(blob)), registry)
        except (msgspec.DecodeError, ValueError) as error:
            raise StateError(f"customer {cid}: {error}") from error

    def state(self, facet_name: str) -> Any:
        """The facet's state, for reading; the initial one if nothing is stored."""
        return self.states[facet_name]

    def touch(self, facet_name: str) -> Any:
        """The facet's state, for changing: the customer will be encoded anew."""
        self.dirty = True
        return self.states[facet_name]

    def put(self, facet_name: str, state: Any) -> None:
        """Set the facet's state."""
        self.dirty = True
        self.states[facet_name] = state

    def clear(self) -> None:
        """Forget everything, unknown facets too."""
        self.dirty = True
        self._packed.clear()
        self.states.clear()

    def names(self) -> set[str]:
        """Every facet that is not as it was at first, known to this program or not."""
        facets = self.registry.facets
        changed = (name for name, state in self.states.items() if state != facets[name].blank)
        return {*self._packed, *changed}

    def carry(self, other: "Customer", facet_name: str) -> None:
        """Take over the bytes of a facet unknown here, unless there are some already."""
        if stored := other.stored(facet_name):
            version, state = stored
            self._packed.setdefault(facet_name, (version, msgspec.Raw(state)))

    def stored(self, facet_name: str) -> tuple[int, bytes] | None:
        """Version and bytes of a facet, whether known here or not."""
        packed = self._packed.get(facet_name)
        return packed and (packed[0], ENCODER.encode(packed[1]))

    def encode(self) -> bytes:
        """The blob, encoded in one go; a facet equal to its initial state takes no room."""
        facets, packed = self.registry.facets, self._packed
        if not self.dirty:
            return ENCODER.encode(packed)
        for name, state in self.states.items():
            facet = facets[name]
            if state == facet.blank:
                packed.pop(name, None)
            else:
                packed[name] = (facet.version, state)
        return ENCODER.encode(packed)
