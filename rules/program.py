"""A rule's steps as a flat program: made from the nested ones of the file, and walked.

Law: every index a step names is a later one, so a walk always ends. Texts of steps (`step`, of
which decision ids are made) depend on the place among their siblings only: an edit of one branch
changes no other's, and an `as` takes the place of the number.

    [notify A] [wait 1d] choose: {x: [coupon B] [wait 1h] [notify C], else: []} [notify D]

    0 Act(A, "1")  1 Wait  2 Choose(((x, 3), (None, 6)), 6, "2")
    3 Act(B, "2.1.1")  4 Wait  5 Act(C, "2.1.2")  6 Act(D, "3")

An instance keeps the index of the step it waits at. `passage` says what comes then: the actions up
to the next wait, which are one decision, however many branches lie between.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from rules.bandits import Terms
from rules.expressions import Expr
from rules.model import Act, Action, Bandit, Choose, Jump, Split, SplitBranch, Step, Stop, Wait


@dataclass(frozen=True)
class Guarded:
    """A wait or a branching with an `if` of its own: passed over unless it holds."""

    condition: Expr
    item: "Item"


@dataclass(frozen=True)
class Branching:
    """`choose` (conditions), `split` (names and shares) or `bandit` (terms), not laid flat yet."""

    branches: "tuple[tuple[Expr | None, str, float, tuple[Item, ...]], ...]"
    split: bool
    name: str = ""
    terms: Terms | None = None


Item = Action | Wait | Stop | Branching | Guarded


class Passage(NamedTuple):
    """From one wait to the next: the actions of one decision, and where it ended.

    `step` is the text of the first act on the way, "" when there was none; `split` the names
    drawn on the way, joined by /; `end` the index of the wait, len(program) when it is over.
    """

    actions: tuple[Action, ...]
    step: str
    split: str
    end: int


def flat(items: Sequence[Item]) -> tuple[Step, ...]:
    """The program of nested steps."""
    program: list[Step] = []
    _lay(items, "", program)
    return tuple(program)


def _lay(items: Sequence[Item], prefix: str, program: list[Step]) -> None:
    number = waits = 0
    gathers = False  # whether the last step of the program is an act of this very list
    for item in items:
        inner = item.item if isinstance(item, Guarded) else item
        if isinstance(inner, Wait | Stop | Branching):
            number += isinstance(inner, Branching)
            waits = waits + 1 if isinstance(inner, Wait) else 0
            _place(item, prefix, number, program, waits)
            gathers = False
        elif gathers and isinstance(last := program[-1], Act):
            program[-1] = Act((*last.actions, inner), last.step)  # type: ignore[arg-type]
        else:
            number, waits = number + 1, 0
            program.append(Act((inner,), f"{prefix}{number}"))  # type: ignore[arg-type]
            gathers = True


def _place(item: Item, prefix: str, number: int, program: list[Step], waits: int) -> None:
    """A wait, a stop or a branching, at the program's end."""
    if isinstance(item, Guarded):
        at = len(program)
        program.append(Jump(0))
        _place(item.item, prefix, number, program, waits)
        program[at] = Choose(((item.condition, at + 1),), len(program), f"{prefix}{number}")
    elif isinstance(item, Branching):
        _branch(item, f"{prefix}{item.name or number}", program)
    elif isinstance(item, Wait):
        program.append(replace(item, step=f"{prefix}{number}+{waits}"))
    elif isinstance(item, Stop):
        program.append(item)


def _branch(item: Branching, step: str, program: list[Step]) -> None:
    at = len(program)
    program.append(Jump(0))
    begins: list[int] = []
    ends: list[int] = []
    for number, (_, name, _, items) in enumerate(item.branches, start=1):
        begins.append(len(program))
        _lay(items, f"{step}.{name or number}.", program)
        if number < len(item.branches):
            ends.append(len(program))
            program.append(Jump(0))
    after = len(program)
    for end in ends:
        program[end] = Jump(after)
    targets = list(zip(item.branches, begins, strict=True))
    shares = tuple(SplitBranch(name, share, begin) for (_, name, share, _), begin in targets)
    if item.terms:
        offers = tuple(tuple(_offered(items)) for *_, items in item.branches)
        program[at] = Bandit(shares, step, *item.terms, offers)
    elif item.split:
        program[at] = Split(shares, step)
    else:
        asked = tuple((condition, begin) for (condition, _, _, _), begin in targets)
        program[at] = Choose(asked, after, step)


def _offered(items: Sequence[Item]) -> Iterator[Action]:
    """The actions up to the first wait, of every branch on the way."""
    for item in items:
        inner = item.item if isinstance(item, Guarded) else item
        if isinstance(inner, Wait):
            return
        if isinstance(inner, Branching):
            for *_, inside in inner.branches:
                yield from _offered(inside)
        elif not isinstance(inner, Stop):
            yield inner  # type: ignore[misc]


def lots(program: Sequence[Step]) -> frozenset[str]:
    """The names of all branches that are drawn."""
    drawn = (step for step in program if isinstance(step, Split | Bandit))
    return frozenset(branch.name for step in drawn for branch in step.branches)


def passage(
    program: Sequence[Step],
    start: int,
    holds: Callable[[Expr], bool],
    draw: Callable[[Split | Bandit], SplitBranch],
) -> Passage:
    """What happens from index `start` on, up to the next wait or the end."""
    actions: list[Action] = []
    step, drawn, at = "", [], start
    while at < len(program):
        here = program[at]
        if isinstance(here, Wait):
            break
        at += 1
        if isinstance(here, Act):
            actions += here.actions
            step = step or here.step
        elif isinstance(here, Stop):
            if here.condition is None or holds(here.condition):
                at = len(program)
        elif isinstance(here, Split | Bandit):
            branch = draw(here)
            drawn.append(branch.name)
            at = branch.target
        elif isinstance(here, Choose):
            taken = (to for condition, to in here.branches if condition is None or holds(condition))
            at = next(taken, here.otherwise)
        else:
            at = here.target
    return Passage(tuple(actions), step, "/".join(drawn), at)
