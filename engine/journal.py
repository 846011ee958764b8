"""What the engine itself remembers of a customer, as one facet beside the features' own.

Must live here: the structs that the blob keeps for identity, dedup, journeys and the open example,
each bounded. Must not: what to do with them (identity.py, journey.py, decide.py do that).
"""

import msgspec

from engine import answers, complaints, ledger, pools
from engine.fields import FACET as THINGS_FACET
from engine.fields import THINGS
from features.catalog import FACETS
from features.customer import Customer, Registry
from features.facet import unfolded
from features.fold import DAY_MS, ID_BYTES, earlier, remembers

GENERATION_IDS = 512
ALIASES_MAX = 200
OPEN_MAX = 40
FIRED_MAX = 256
COUNTED_SUBJECTS_MAX = 32
REACHED_MAX = 100  # times of one kind that caps count: one of more is one of so many
RECENT_MAX = 50
OPEN_WATCHES_MAX = 8  # of one model and customer
SEPARATOR = "\x1f"
RECENT_MS = 7 * DAY_MS
EXAMPLE_WAITS_MS = DAY_MS  # beyond its deadline, before one who has not come is loaded to close it


class Identity(msgspec.Struct, array_like=True):
    """Who this customer is: birth id, where it moved to, whom it has taken in, when erased."""

    birth: bytes = b""
    moved_to: str = ""
    aliases: list[str] = []
    erased_at: int = 0  # what is stamped up to then (ms) is dropped; 0 for never erased
    erasures: int = 0
    awaited: list[str] = []  # moved: whose states went on from here, his own the first
    kept: list[bytes] = []  # moved in a circle: the state letters that came round
    claimants: bytes = b""  # moved: who else said that this is his, six bytes of hash each


class Seen(msgspec.Struct, array_like=True):
    """The events applied, 6 bytes of hash each, in two generations.

    A generation lasts 24 h of log time or 512 ids, whichever is shorter; `cut` counts those that
    ended by number.
    """

    young: bytes = b""
    old: bytes = b""
    since: int = 0
    cut: int = 0


class Instance(msgspec.Struct, array_like=True):
    """One run of a rule for one subject, waiting at `step` until `due` (ms)."""

    rule: str
    run: str
    subject: str
    birth: bytes
    key: bytes
    started: int
    step: int
    due: int
    anchor: int
    arrived: int = 0
    arm: str = ""
    again: int = 0  # what is due waits, and is decided anew then (ms); 0: it does not wait
    gift: str = ""  # the letter that another's decision came by, as JSON; see gifts.py
    gathered: int = 0  # it waits for what is due with it as of then (ms); see digests.py
    place: str = ""  # the wait it stands at, as the rule's program calls it; "" before the first
    version: str = ""  # of the rule, that it entered or was moved to; see editions.py
    left: str = ""  # the version that it was moved from
    heard: str = ""  # what its values and texts read of the event that began it; see hearing.py

    @property
    def wakes(self) -> int:
        """When a timer is to go on with it, in ms."""
        return self.again or self.due

    @property
    def waits_for_slice(self) -> bool:
        """Whether it waits for a budget's ledger, to be decided as of its due time."""
        return self.again > self.due


def _alike(one: Instance, other: Instance) -> bool:
    mine = (one.rule, one.run, one.gathered, one.due, one.place, one.version)
    return mine == (
        *(other.rule, other.run, other.gathered, other.due, other.place, other.version),
    )


class Watch(msgspec.Struct, array_like=True):
    """What is to come after a decision: which events, up to when, and the example it makes."""

    model: str
    opened: int
    deadline: int
    events: list[str]  # [] for whatever the customer does himself
    money: bool
    example: bytes  # JSON


class Journey(msgspec.Struct, array_like=True):
    """The rules' memory of a customer: open instances, what fired, what was counted."""

    open: list[Instance] = []
    fired: dict[bytes, int] = {}  # instance key -> reasons already written, as bits
    ever: dict[bytes, int] = {}  # the same for once_per customer, never dropped
    counts: dict[str, dict[str, list[int]]] = {}  # rule -> subject -> times (ms), newest last
    entries: dict[str, list[int]] = {}  # rule -> times (ms) of entries that a limit counts
    silent: dict[str, int] = {}  # inactive rule -> last event heard (ms); negative once answered
    recent: dict[str, int] = {}  # watched event (name and subjects) -> when last (ms), latest last
    alarm: int = 0  # nothing of the customer's is due before it (ms); 0 for never
    scheduled: int = 0  # what the shard's sorted set holds for this customer, 0 for nothing
    listed: list[str] = []  # what the shard's index lists him under
    met: dict[str, int] = {}  # inactive rule -> when it came to one who was silent already (ms)
    paused: dict[str, int] = {}  # purpose -> until when nothing of it comes to him (ms)
    told: int = 0  # when his row of `customers` was last written, by log time (ms)
    dues: dict[str, dict[str, int]] = {}  # rule -> thing, "" for himself -> when it is due (ms)
    reached: dict[str, list[int]] = {}  # purpose:channel or offer:name -> times (ms), see caps.py
    links: dict[str, dict[str, list[tuple[int, int]]]] = {}  # rule -> thing -> see sequences.py
    inside: dict[str, str] = {}  # segment -> the tier he is in, its own name if it has none
    crossed: dict[str, int] = {}  # rule -> since when its number is beyond its level (ms)
    settled: str = ""  # the version of segments and levels that he was sorted by
    asked: int = 0  # when to ask next what time alone has changed (ms); 0: nothing does
    moves: int = 0  # rows told of his moves
    planned: dict[str, dict[str, int]] = {}  # rule -> subject -> when its turn comes (ms)
    watches: list[Watch] = []  # decisions that wait for what comes of them, see rewards.py
    digests: dict[str, list[int]] = {}  # rule with a digest -> times (ms) of its decisions
    won: tuple[int, list[str]] = (0, [])  # the last moment that caps counted (ms), and the rules

    def mates(self, instance: Instance) -> list[Instance]:
        """Those that wait with an instance for the same moment of a digest, by subject."""
        if not instance.gathered:
            return []
        found = [one for one in self.open if one is not instance and _alike(one, instance)]
        return sorted(found, key=lambda one: one.subject)

    def arm(self, due: int) -> None:
        """A timer was set to `due` (ms). The alarm may be early when the timer moves on later."""
        if not self.alarm or due < self.alarm:
            self.alarm = due


class Example(msgspec.Struct, array_like=True):
    """The one open example of a model: inputs as they were when the score was given."""

    inputs: bytes = b""  # float32 little endian
    opened: int = 0
    deadline: int = 0
    score: float = 0.0
    version: str = ""
    label: int = 0  # 1 once he has bought; told at the deadline


class Look(msgspec.Struct, array_like=True):
    """A buyer as he was at a time, kept until it is known what became of him: see returns.py."""

    opened: int
    inputs: bytes  # packed by features/models/returning.py
    net: int  # paid less refunded until then, in minor units
    days: int  # his own horizon
    told: int  # the models that have learned what became of him, as bits


class Returning(msgspec.Struct, array_like=True):
    """When a buyer is looked at next (ms), 0 for never, and the looks that wait: two at most."""

    next: int = 0
    looks: list[Look] = []


class Memory(msgspec.Struct, array_like=True):
    """All of it, one facet: every event reads and writes it, so it is decoded in one go."""

    identity: Identity = msgspec.field(default_factory=Identity)
    seen: Seen = msgspec.field(default_factory=Seen)
    journey: Journey = msgspec.field(default_factory=Journey)
    example: Example = msgspec.field(default_factory=Example)
    returning: Returning = msgspec.field(default_factory=Returning)

    @property
    def alarm(self) -> int:
        """When he is to be woken (ms), 0 for never: his timers; his open example may wait a day.

        Most come again before that and close it then; what becomes of it is known all the same.
        """
        example = self.example.deadline
        return earlier(self.journey.alarm, example and example + EXAMPLE_WAITS_MS)


def memory(customer: Customer) -> Memory:
    """The engine's memory of a customer, for reading."""
    found: Memory | None = customer.states.get(ENGINE)  # `[]` of a subclass of dict is a call
    return found or customer.states[ENGINE]


def write(customer: Customer) -> Memory:
    """The same, for changing."""
    customer.dirty = True
    return memory(customer)


ENGINE = "engine"
FACET = unfolded(ENGINE, Memory)  # uniting is an act of its own (identity.py)
REGISTRY = Registry(
    {
        **FACETS,
        ENGINE: FACET,
        answers.ANSWERS: answers.FACET,
        ledger.LEDGER: ledger.FACET,
        pools.STATE: pools.FACET,
        THINGS: THINGS_FACET,
        complaints.COMPLAINTS: complaints.FACET,
    }
)


def note(journey: Journey, name: str, subjects: list[str], at: int) -> None:
    """Remember a watched event of the customer; of the same about the same, the latest stays."""
    recent = journey.recent
    key = SEPARATOR.join((name, *subjects))
    before = recent.pop(key, 0)
    recent[key] = at = at if at > before else before  # noqa: FURB136 - every event comes by
    oldest = next(iter(recent))
    while len(recent) > RECENT_MAX or recent[oldest] < at - RECENT_MS:
        del recent[oldest]
        oldest = next(iter(recent))


def noted(journey: Journey) -> list[tuple[str, int, list[str]]]:
    """The watched events remembered: name, at (ms), subjects, in order of time."""
    found = []
    for key, at in sorted(journey.recent.items(), key=lambda entry: entry[1]):
        name, *subjects = key.split(SEPARATOR)
        found.append((name, at, subjects))
    return found


def seen_before(seen: Seen, event_id: bytes) -> bool:
    """Whether an event with this hash has been applied within the window."""
    young, old = seen.young, seen.old
    if young.find(event_id) < 0 and old.find(event_id) < 0:  # `in` would raise and catch an error
        return False  # nor across the border of two, which the search below sees
    return remembers(young, event_id) or remembers(old, event_id)


def remember(seen: Seen, event_id: bytes, log_time: int) -> None:
    """Note that the event was applied at `log_time` (ms), turning the generation when it is due."""
    young = seen.young
    full = len(young) >= GENERATION_IDS * ID_BYTES
    if young and not full and log_time - seen.since < DAY_MS:
        seen.young = young + event_id
        return
    if young:
        seen.cut += full
        seen.old = b"" if log_time - seen.since >= 2 * DAY_MS else young
    seen.young, seen.since = event_id, log_time


def unite_seen(mine: Seen, theirs: Seen) -> None:
    """Take in the other's ids; the oldest beyond two generations go."""
    ids = theirs.old + mine.old + theirs.young + mine.young
    ids = ids[-2 * GENERATION_IDS * ID_BYTES :]
    split = max(0, len(ids) - GENERATION_IDS * ID_BYTES)
    mine.old, mine.young = ids[:split], ids[split:]
    mine.since = max(mine.since, theirs.since)
    mine.cut += theirs.cut
