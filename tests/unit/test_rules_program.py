"""Nested steps laid flat, and walked: one decision between two waits, whatever lies between."""

from textwrap import dedent, indent

import pytest

from rules.errors import RuleErrors
from rules.load import load_text
from rules.model import Act, Choose, Jump, Rule, Split, SplitBranch, Stop, Wait
from rules.program import Passage, passage

HEAD = "rule: r\nwhen: {event: Product Added}\nonce_per: cart\ndo:\n"


def notify(name: str) -> str:
    return f"notify: {{via: push, template: {name}}}"


def rule(do: str) -> Rule:
    text = HEAD + indent(dedent(do), "  ")
    return load_text(text, unbuilt=frozenset()).rules["r"]


def errors(do: str) -> str:
    with pytest.raises(RuleErrors) as found:
        rule(do)
    return str(found.value)


def named(step: Act) -> tuple[str, ...]:
    return (step.step, *(action.name.removeprefix("notify:") for action in step.actions))


def walked(of: Rule, start: int = 0, *, yes: str = "", draw: str = "") -> Passage:
    def drawn(split: Split) -> SplitBranch:
        return next(branch for branch in split.branches if branch.name == draw)

    return passage(of.steps, start, lambda expr: expr.source in yes, drawn)


def told(of: Passage) -> tuple[str, str, int]:
    names = " ".join(action.name.removeprefix("notify:") for action in of.actions)
    return names, of.step, of.end


NESTED = f"""
- {notify("a")}
- wait: 1d
- choose:
    - if: cart.value > 100
      do:
        - {notify("b")}
        - wait: 1h
        - {notify("c")}
    - if: cart.items > 1
      do: []
    - do:
        - {notify("b")}
- {notify("d")}
"""


def test_nested_steps_are_laid_flat_with_jumps_forward():
    steps = rule(NESTED).steps
    first, wait, choose, b, hour, c, over, skip, other, last = steps
    assert [named(step) for step in (first, b, c, other, last)] == [
        ("1", "a"),
        ("2.1.1", "b"),
        ("2.1.2", "c"),
        ("2.3.1", "b"),
        ("3", "d"),
    ]
    assert (wait, hour) == (Wait(86_400_000), Wait(3_600_000))
    assert isinstance(choose, Choose)
    assert [to for _, to in choose.branches] == [3, 7, 8]
    assert (choose.otherwise, choose.step) == (9, "2")
    assert (over, skip) == (Jump(9), Jump(9))


def test_actions_of_a_branch_and_around_it_are_one_decision():
    found = rule(NESTED)
    assert told(walked(found)) == ("a", "1", 1)
    assert told(walked(found, 2, yes="cart.value > 100")) == ("b", "2.1.1", 4)
    assert told(walked(found, 5)) == ("c d", "2.1.2", 10)
    assert told(walked(found, 2, yes="cart.items > 1")) == ("d", "3", 10)
    assert told(walked(found, 2)) == ("b d", "2.3.1", 10)


def test_an_edit_of_one_branch_leaves_the_other_texts_alone():
    longer = NESTED.replace(
        f"- {notify('c')}", f"- {notify('c')}\n        - wait: 2h\n        - {notify('e')}"
    )
    before = [named(step) for step in rule(NESTED).steps if isinstance(step, Act)]
    after = [named(step) for step in rule(longer).steps if isinstance(step, Act)]
    assert set(before) < set(after)


def test_a_split_draws_by_share_and_names_its_decisions():
    found = rule(
        f"""
        - split:
            - {{name: big, share: 30%, do: [{{{notify("a")}}}]}}
            - {{name: small, share: 60%, do: [{{{notify("b")}}}]}}
            - {{name: none, share: 10%, do: []}}
          as: greeting
        """
    )
    split = found.steps[0]
    assert isinstance(split, Split)
    assert split.step == "greeting"
    assert [split.drawn(at).name for at in (0, 0.29, 0.31, 0.89, 0.91, 0.9999)] == [
        *("big", "big", "small", "small", "none", "none"),
    ]
    assert walked(found, draw="big").split == "big"
    assert told(walked(found, draw="small")) == ("b", "greeting.small.1", len(found.steps))
    assert told(walked(found, draw="none")) == ("", "", len(found.steps))


def test_a_stop_keeps_what_was_gathered_and_ends():
    found = rule(f"- {notify('a')}\n- stop: true\n  if: cart.value > 100\n- {notify('b')}\n")
    assert isinstance(found.steps[1], Stop)
    assert told(walked(found, yes="cart.value > 100")) == ("a", "1", 3)
    assert told(walked(found)) == ("a b", "1", 3)


def test_a_wait_or_a_branching_may_have_an_if():
    found = rule(
        f"""
        - {notify("a")}
        - wait: 1d
          if: cart.value > 100
        - choose:
            - do:
                - {notify("b")}
          if: cart.items > 1
        - {notify("c")}
        """
    )
    assert told(walked(found, yes="cart.value > 100")) == ("a", "1", 2)
    assert told(walked(found, yes="cart.items > 1")) == ("a b c", "1", len(found.steps))
    assert told(walked(found)) == ("a c", "1", len(found.steps))


def test_every_index_is_a_later_one():
    for at, step in enumerate(rule(NESTED).steps):
        if isinstance(step, Choose):
            assert all(to > at for _, to in step.branches)
        elif isinstance(step, Jump):
            assert step.target > at


@pytest.mark.parametrize(
    ("do", "why"),
    [
        (f"- choose:\n    - do: [{{{notify('a')}}}]\n    - if: cart.value > 1\n      do: []",
         "a branch without `if` is always taken"),
        ("- choose: []", "1 to 20 branches"),
        (f"- choose:\n    - if: cart.valu > 1\n      do: [{{{notify('a')}}}]", "did you mean"),
        (f"- split:\n    - {{name: a, share: 50%, do: [{{{notify('a')}}}]}}", "add up to 100%"),
        ((f"- split:\n    - {{name: a, share: 50%, do: [{{{notify('a')}}}]}}\n"
         "    - {name: a, share: 50%, do: []}"), "the same name"),
        (f"- choose:\n    - do:\n        - {notify('a')}\n        - wait: 1d", "the last step is a wait"),
        (f"- {notify('a')}\n- choose:\n    - do:\n        - {notify('a')}", "give one `as`"),
        (f"- {notify('a')}\n  if: arrived", "there is no `wait: {event, for}` before it"),
        ("- choose:\n    - do: []", "do has no action"),
        (f"- choose:\n    - do:\n        - stop: true\n        - {notify('a')}", "ever reached"),
        (f"- {notify('a')}\n- wait: {{until: cart.value}}\n- {notify('b')}", "is not a date"),
        (f"- {notify('a')}\n- wait: {{until: 2026-11-11, for: 3d}}\n- {notify('b')}", "go with `until`"),
    ],
)  # fmt: skip
def test_what_cannot_be_walked_is_refused(do: str, why: str):
    assert why in errors(do)


def test_the_same_name_may_stand_in_branches_that_exclude_each_other():
    assert rule(NESTED)


def test_a_wait_opens_arrived_for_what_follows():
    found = rule(
        f"- {notify('a')}\n- wait: {{event: Order Paid, for: 1d}}\n- {notify('b')}\n  if: arrived\n"
    )
    (action,) = found.steps[2].actions
    assert action.condition.laid == {"arrived"}
    assert action.condition.test(None, None, 0, {"arrived": True})
    assert not action.condition.test(None, None, 0, {"arrived": False})
    assert found.laid == {"arrived"}
