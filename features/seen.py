"""Seen: when he was seen first and last, and on which channels and devices.

What the shop says about him does not count, and its servers are no channel of his; the first 8
channels and devices are counted.
"""

from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import days, earlier, short
from features.vocabulary import NOT_BY_CUSTOMER

KINDS_MAX: Final = 8
SERVER: Final = "server"  # where the shop's own programs speak, not a place the customer comes by


class Seen(msgspec.Struct, array_like=True):
    """Times in ms; how many events came by each channel and device."""

    first: int = 0
    last: int = 0
    first_channel: str = ""
    last_channel: str = ""
    channels: dict[str, int] = {}
    first_device: str = ""
    last_device: str = ""
    devices: dict[str, int] = {}


def fold(seen: Seen, event: Event, emit: Emit) -> None:  # noqa: ARG001, C901 - a fold's shape
    """Note when and where; the latest and the earliest by the event's own time.

    Nearly every event comes by here: what is known already is counted without a call.
    """
    at, channel, device = event.at, event.channel, event.device
    is_first = at < seen.first or not seen.first
    is_last = at >= seen.last
    if is_first:
        seen.first = at
    if is_last:
        seen.last = at
    if channel and channel != SERVER:
        if channel in seen.channels:
            seen.channels[channel] += 1
        else:
            channel = _count(seen.channels, channel)
        if channel != seen.last_channel and (is_last or not seen.last_channel):
            seen.last_channel = channel
        if is_first or not seen.first_channel:
            seen.first_channel = channel
    if device:
        if device in seen.devices:
            seen.devices[device] += 1
        else:
            device = _count(seen.devices, device)
        if device != seen.last_device and (is_last or not seen.last_device):
            seen.last_device = device
        if is_first or not seen.first_device:
            seen.first_device = device


def _count(kinds: dict[str, int], name: str, times: int = 1) -> str:
    """Count the name if there is room; the name as it is kept."""
    name = short(name)
    if name in kinds or len(kinds) < KINDS_MAX:
        kinds[name] = kinds.get(name, 0) + times
    return name


def merge(mine: Seen, theirs: Seen) -> Seen:
    """First of the earlier one, last of the later one, counts summed."""
    start = theirs if theirs.first and (theirs.first < mine.first or not mine.first) else mine
    end = theirs if theirs.last > mine.last else mine
    other_start, other_end = (mine if side is theirs else theirs for side in (start, end))
    united = Seen(
        first=earlier(mine.first, theirs.first),
        last=max(mine.last, theirs.last),
        first_channel=start.first_channel or other_start.first_channel,
        last_channel=end.last_channel or other_end.last_channel,
        first_device=start.first_device or other_start.first_device,
        last_device=end.last_device or other_end.last_device,
    )
    for side in (mine, theirs):
        for name, times in side.channels.items():
            _count(united.channels, name, times)
        for name, times in side.devices.items():
            _count(united.devices, name, times)
    return united


def _most(kinds: dict[str, int]) -> str | None:
    return min(kinds, key=lambda name: (-kinds[name], name)) if kinds else None


FACET: Final = Facet(
    name="seen",
    version=1,
    state=Seen,
    doc="First and last seen; first, last and most used channel and device.",
    ignores=NOT_BY_CUSTOMER,
    fold=fold,
    merge=merge,
    features=(
        number(
            "seen.days_since_first",
            "days",
            "Since his first event; missing before it.",
            lambda s, now: days(s.first, now),
        ),
        number(
            "seen.days_since_last",
            "days",
            "Since his last event; missing before the first.",
            lambda s, now: days(s.last, now),
        ),
        *(
            Feature(
                name=f"seen.{which}{kind}",
                type="text",
                unit=kind,
                doc=f"The {kind} {how}; missing when none is known.",
                read=read,
            )
            for kind, which, how, read in (
                ("channel", "", "used most", lambda s, _: _most(s.channels)),
                ("channel", "first_", "of his first event", lambda s, _: s.first_channel or None),
                ("channel", "last_", "of his last event", lambda s, _: s.last_channel or None),
                ("device", "", "used most", lambda s, _: _most(s.devices)),
                ("device", "first_", "of his first event", lambda s, _: s.first_device or None),
                ("device", "last_", "of his last event", lambda s, _: s.last_device or None),
            )
        ),
    ),
)
