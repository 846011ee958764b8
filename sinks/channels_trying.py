"""One message on its way through one channel: tried until it is settled, and what is then told.

Must live here: the questions before each attempt, retries, when a message is given up, put off or
handed to its next channel. Must not: cursors, streams, how a channel sends.

What comes of a message, each thing told once and together with what follows from it:

    sent
    failed, and handed to its next channel where it has one: `bounced`, `consent`, `no address`,
        `template: ..`, what the receiver refuses or breaks on
    failed for good, whatever other channels there are: `erased`, `expired`, `killed`, `quiet`
    put off: it is inside quiet hours, or the receiver wants this one message later
"""

import asyncio
import time
from dataclasses import dataclass

from redis.exceptions import RedisError

from rules.templates import CannotRender
from sinks.channels import NOTIFY, Channel, Failed, Later, Message
from sinks.channels_standing import Standing
from sinks.receipts import Receipt, bounced, given_up
from sinks.relay_loop import Tally, back_off, stopped_within
from sinks.rendering import Rendering
from sinks.rows import Row
from sinks.tries import Tries

AT_ONCE = 16  # sends to one channel
TRIES_MIN = 12  # before a message that its receiver refuses while taking others is given up
REST_SECONDS_MAX = 3_600.0
ENDS = frozenset(("erased", "expired", "killed", "quiet"))  # of the message, not of a channel


@dataclass(frozen=True)
class Settled:
    """What came of a message: told as a row, tried again as another, told to the customer's log."""

    row: Row | None
    again: Message | None = None
    receipts: tuple[Receipt, ...] = ()


class Trying:
    """The attempts of one channel, sixteen at once."""

    def __init__(
        self,
        channel: Channel,
        tally: Tally,
        standing: Standing,
        rendering: Rendering,
        tries: Tries,
        *,
        record_clock: bool = False,
    ) -> None:
        self.channel = channel
        self.tally = tally
        self.standing = standing
        self.rendering = rendering
        self.tries = tries
        self.record_clock = record_clock
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._resume_at = 0.0  # monotonic: the receiver asked for quiet until then
        self._last_success = 0.0  # monotonic

    async def settle(self, message: Message, stop: asyncio.Event) -> Settled | None:
        """Try until it is settled; None when `stop` came first."""
        began = time.monotonic()
        for number, pause in enumerate(back_off(), 1):
            try:
                if self._now(message) > message.not_after:
                    return await self._failed(message, "expired", message.not_after)
                await self._until_resumed(stop)
                async with self._slots:
                    return await self._attempt(message, last=number >= TRIES_MIN, since=began)
            except Later as later:
                self.tally.failed(later)
                if later.rest and not self.record_clock:
                    rest = min(later.rest * 2 ** min(message.hop, 16), REST_SECONDS_MAX)
                    return Settled(None, message.later(self._now(message) + int(rest * 1000)))
            except Exception as error:  # noqa: BLE001 - a channel's fault is told and tried again
                self.tally.failed(error)
            if stop.is_set():
                return None
            await stopped_within(stop, pause)
        return None

    async def _attempt(self, message: Message, *, last: bool, since: float) -> Settled:
        stands = await self.standing.of(message)
        if stands.against:
            return await self._failed(message, stands.against)
        try:
            now = self._now(message)
            ends = now if self.record_clock else await self.rendering.quiet_until(message, now)
            dropped = message.quiet is not None and message.quiet[2] == "drop"
            if ends > now and (dropped or ends > message.not_after):
                return await self._failed(message, "quiet")
            if ends > now:
                return Settled(None, message.later(ends))
            made = await self.rendering.made(message, stands.language)
        except CannotRender as wrong:
            return await self._failed(message, f"template: {wrong}")
        except RedisError as away:
            raise Later(f"the rules cannot be read now: {type(away).__name__}") from away
        return await self._send(message, made, last=last, since=since)

    async def _send(self, message: Message, made: Message, *, last: bool, since: float) -> Settled:
        """Send it as it was made. The last try of one that breaks a receiver who takes others."""
        try:
            result = await self.tries.send(self.channel, made)
        except Later as later:
            if later.pause:
                self._resume_at = max(self._resume_at, time.monotonic() + later.pause)
            if not (last and later.answered and self._last_success > since):
                raise
            self.tally.failed(later)
            return await self._failed(message, f"given up: {later.reason}")
        self._last_success = time.monotonic()
        self.tally.succeeded(1)
        if isinstance(result, Failed):
            return await self._failed(message, result.reason, hard=result.bounced)
        return Settled(message.outcome("sent"))

    async def _failed(
        self, message: Message, reason: str, at: int | None = None, *, hard: bool = False
    ) -> Settled:
        """Failed on this channel: what follows is the next one, or the end."""
        again = None if reason in ENDS else message.elsewhere()
        receipts: list[Receipt] = []
        if message.kind == NOTIFY and not self.record_clock and reason != "erased":
            now = int(time.time() * 1000)
            receipts += [bounced(message, reason, now)] if hard else []
            if not again:
                unsent = await self.tries.none(message)
                receipts += given_up(message, reason, now, unsent=unsent)
        return Settled(message.outcome("failed", reason, at), again, tuple(receipts))

    async def _until_resumed(self, stop: asyncio.Event) -> None:
        """Wait while the receiver has asked for quiet."""
        while (left := self._resume_at - time.monotonic()) > 0 and not stop.is_set():
            await stopped_within(stop, left)

    def _now(self, message: Message) -> int:
        """In record time sending takes no time: a message is as old as its commit."""
        return message.log_time if self.record_clock else int(time.time() * 1000)
