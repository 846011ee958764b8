"""A customer in memory: facets decoded when first read, and only touched ones encoded again.

Must live here: the blob's layout {facet: [version, state]} and the registry of facets.
Must not: what a facet means. A facet this program does not know is carried as it came.
"""

from collections.abc import Mapping
from typing import Any, Final, Self, cast

import msgspec

from features.facet import ENCODER, Facet, Feature, StateError

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
        self._hearing: dict[str, tuple[Facet[Any], ...]] = {
            name: self._hear(name)
            for facet in self.facets.values()
            for name in (*(facet.events or ()), *facet.ignores)
        }
        self._hearing_all = self._hear("")

    def _hear(self, event_name: str) -> tuple[Facet[Any], ...]:
        return tuple(facet for facet in self.facets.values() if facet.hears(event_name))

    def hearing(self, event_name: str) -> tuple[Facet[Any], ...]:
        """The facets that fold an event of this name; an unknown name has those that hear all."""
        return self._hearing.get(event_name, self._hearing_all)


class Customer:
    """One customer's state. Not shared between batches; `encode` may be called at any time."""

    __slots__ = ("_packed", "_states", "_touched", "cid", "registry")

    def __init__(self, cid: str, packed: dict[str, Packed], registry: Registry) -> None:
        self.cid = cid
        self.registry = registry
        self._packed = packed
        self._states: dict[str, Any] = {}
        self._touched: dict[str, Any] = {}

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
        state = self._states.get(facet_name)
        return self._load(facet_name) if state is None else state

    def touch(self, facet_name: str) -> Any:
        """The facet's state, for changing: it will be encoded anew."""
        state = self._states.get(facet_name)
        if state is None:
            state = self._load(facet_name)
        self._touched[facet_name] = state
        return state

    def _load(self, facet_name: str) -> Any:
        facet = self.registry.facets[facet_name]
        packed = self._packed.get(facet_name)
        if packed is None:
            state = facet.state()
        elif packed[0] == facet.version:
            state = facet.read(packed[1])
        else:
            state = facet.upgrade(*packed)
        self._states[facet_name] = state
        return state

    def put(self, facet_name: str, state: Any) -> None:
        """Set the facet's state."""
        self._states[facet_name] = self._touched[facet_name] = state

    @property
    def dirty(self) -> bool:
        """Whether anything was touched since it was decoded."""
        return bool(self._touched)

    def rest(self) -> None:
        """Its blob has been stored: nothing is touched any more."""
        self._touched = {}

    def clear(self) -> None:
        """Forget everything, unknown facets too."""
        self._packed = {}
        self._states = {}
        self._touched = {}

    def names(self) -> set[str]:
        """Every facet stored or touched, known to this program or not."""
        return {*self._packed, *self._touched}

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
        for name, state in self._touched.items():
            facet = facets[name]
            if state == facet.blank:
                packed.pop(name, None)
            else:
                packed[name] = (facet.version, state)
        return ENCODER.encode(packed)
