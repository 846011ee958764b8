"""A bandit over a rule's offers: what is drawn, at which odds, what is logged, what is learned."""

import asyncio
from collections import Counter
from textwrap import dedent
from typing import Any

import orjson
import pytest

from engine.effects import Moment
from features.models.bandit import INPUTS, MODEL, Scorer, odds, vector
from features.models.bandit_learner import Learner
from rules.errors import RuleErrors
from rules.load import book_from_sources, load_text
from rules.model import PAID, Bandit
from simulator.rule_tests import run_examples
from tests.memory_engine import DAY, HOUR, MemoryEngine

RULE = """
rule: which
status: live
when: {event: Product Added}
once_per: cart
holdout: 0%
budget: {money: 1000 per day}
do:
  - wait: 1h
  - bandit:
      within: 2d
      explore: 10%
      arms:
        - name: ten
          do:
            - coupon: {offer: SAVE, off: 10, valid: 48h}
            - notify: {via: push, template: ten}
        - {name: told, do: [{notify: {via: push, template: told}}]}
        - {name: nothing, do: []}
  - wait: 1d
  - notify: {via: push, template: after}
"""
OFFER = "offer: SAVE\n"
PLACE = "which/1"


def sources(rule: str = RULE) -> dict[str, str]:
    return {"campaigns/which.yaml": rule, "offers/SAVE.yaml": OFFER}


async def lived(batch: int = 100, rule: str = RULE, many: int = 60) -> MemoryEngine:
    """Carts of many customers, a third of whom pay within the window."""
    engine = MemoryEngine(sources(rule), batch=batch)
    for n in range(many):
        engine.send(n, "Product Added", userId=f"{n}", cart_id=f"c{n}", product_id="p", price=9)
    engine.tick(HOUR + many)
    await engine.run()  # the budget's ledger answers
    for n in range(0, many, 3):
        engine.send(
            5 * HOUR + n, "Order Paid", userId=f"{n}", order_id=f"o{n}", cart_id="x", total=n
        )
    engine.tick(3 * DAY)
    await engine.run()
    return engine


def drawn(engine: MemoryEngine) -> list[dict[str, Any]]:
    return [row for row in engine.decisions(acts=False) if row["step"] == "1"]


def test_every_arm_is_drawn_evenly_before_a_model_and_nothing_is_a_decision_too() -> None:
    engine = asyncio.run(lived())
    rows = drawn(engine)
    assert len(rows) == 60
    assert Counter(row["split"] for row in rows).keys() == {"ten", "told", "nothing"}
    assert {row["propensity"] for row in rows} == {1 / 3}
    kinds = {row["split"]: [one["kind"] for one in row["actions"]] for row in rows}
    assert kinds == {"ten": ["coupon", "notify"], "told": ["notify"], "nothing": []}
    assert all(row["values"].keys() == set(INPUTS) for row in rows)
    assert rows[0]["values"]["orders.average"] == "unknown"
    after = [row for row in engine.decisions() if row["step"] == "2"]
    assert len(after) == 60


def test_a_decision_does_not_depend_on_batches() -> None:
    one, other = (asyncio.run(lived(batch)) for batch in (1, 37))
    keys = ("decision_id", "split", "propensity", "values")
    assert [[row[key] for key in keys] for row in drawn(one)] == [
        [row[key] for key in keys] for row in drawn(other)
    ]


def test_the_learner_hears_what_it_cost_and_what_came_of_it() -> None:
    engine = asyncio.run(lived())
    examples = [one for one in engine.gathered("examples") if one["model"] == MODEL]
    costs = [one for one in examples if "cost" in one]
    rewards = [one for one in examples if "reward" in one]
    assert len(costs) == len(rewards) == 60
    by_arm = {row["cid"]: row["split"] for row in drawn(engine)}
    for one in costs:
        assert one["cost"] == (10.0 if one["arm"] == "ten" else 0.0)
        assert (one["place"], one["daily"], one["arm"]) == (PLACE, 1000.0, by_arm[one["cid"]])
    for one in rewards:
        number = int(one["cid"].removeprefix("u:"))
        assert one["reward"] == (0.0 if number % 3 else float(number))
    learner = Learner()
    for one in examples:
        learner.learn(one)
    assert learner.examples == 60
    assert learner.weights()["places"].keys() == {PLACE}


def best(arm: str) -> dict[str, Any]:
    """A model by which one arm is far above the others."""
    nothing = [0.0] * (len(INPUTS) + 1)
    arms = {name: [float(name == arm), *nothing[1:]] for name in ("ten", "told", "nothing")}
    return {
        "model": MODEL,
        "places": {
            PLACE: {
                "shared": nothing, "arms": arms, "costs": {}, "price": 0.0, "spread": 1.0,
                "sharpness": 1e6, "examples": 9,
            }
        },
    }  # fmt: skip


def test_the_model_in_force_gives_the_odds_and_the_rest_stays_explored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Moment.__init__

    def with_model(self: Moment, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        self.models = {MODEL: Scorer(best("told"))}

    monkeypatch.setattr(Moment, "__init__", with_model)
    rows = drawn(asyncio.run(lived(many=200)))
    odds_of = {row["split"]: row["propensity"] for row in rows}
    assert odds_of["told"] == pytest.approx(0.9 + 0.1 / 3, abs=1e-5)
    assert odds_of["nothing"] == pytest.approx(0.1 / 3, abs=1e-5)
    assert 170 <= sum(row["split"] == "told" for row in rows) < 200


def test_whom_one_arm_may_not_reach_gets_none() -> None:
    async def story() -> MemoryEngine:
        engine = MemoryEngine(sources())
        for n in range(30):
            engine.send(
                n, "Consent Updated", userId=f"{n}", purpose="marketing", channels=["email"]
            )
            engine.send(n, "Product Added", userId=f"{n}", cart_id=f"c{n}", product_id="p", price=9)
        engine.tick(2 * HOUR)
        await engine.run()
        return engine

    rows = drawn(asyncio.run(story()))
    assert {row["held"] for row in rows} == {"consent"}
    assert {row["split"] for row in rows} == {"ten", "told", "nothing"}


def test_an_example_says_which_arm_falls_to_its_customer() -> None:
    example = """
    examples:
      - name: ten off
        draw: ten
        given: [{at: 0h, event: Product Added, cart_id: c, product_id: p, price: 9}]
        until: 2h
        expect: [{at: 1h, coupon: SAVE, off: 10, notify: ten}]
      - name: nothing
        draw: nothing
        given: [{at: 0h, event: Product Added, cart_id: c, product_id: p, price: 9}]
        until: 2h
        expect: []
    """
    book = book_from_sources(sources(RULE + dedent(example)))
    found = run_examples(book)
    assert [one.why for one in found] == [(), ()]


def errors(text: str) -> str:
    head = "rule: r\nwhen: {event: Product Added}\nonce_per: cart\ndo:\n"
    with pytest.raises(RuleErrors) as found:
        load_text(head + dedent(text))
    return str(found.value)


ARMS = "arms: [{name: a, do: [{notify: {via: push, template: t}}]}, {name: b, do: []}]"


def test_what_is_written_and_what_is_left_out() -> None:
    head = "rule: r\nwhen: {event: Product Added}\nonce_per: cart\ndo:\n"
    loaded = load_text(f"{head}  - bandit: {{{ARMS}}}\n").rules["r"].steps[0]
    assert isinstance(loaded, Bandit)
    assert (loaded.reward, loaded.within_ms, loaded.money) == (PAID, 7 * DAY, True)
    assert [one.share for one in loaded.branches] == [0.5, 0.5]
    assert [len(offers) for offers in loaded.offers] == [1, 0]
    seen = load_text(f"{head}  - bandit: {{{ARMS}, reward: Product Viewed, explore: 20%}}\n")
    other = seen.rules["r"].steps[0]
    assert isinstance(other, Bandit)
    assert (other.money, other.explore) == (False, 0.2)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("- bandit: {armes: []}", "did you mean `arms`"),
        ("- bandit: {arms: [{name: a, do: []}]}", "a list of 2 to 12"),
        ("- bandit: {arms: [{name: a, do: []}, {name: a, do: []}]}", "have the same name"),
        (f"- bandit: {{{ARMS}, reward: Order Payd}}", "Order Paid"),
        (f"- bandit: {{{ARMS}, within: 60d}}", "30d at most"),
        (f"- bandit: {{{ARMS}, explore: 0%}}", "never tried is never known"),
        (f"- bandit: {{{ARMS}, reward: Product Viewed, value: money}}", "say `value: count`"),
        (f"- bandit: {{{ARMS}, value: mony}}", "money"),
        (f"- bandit: {{{ARMS}}}\n- bandit: {{{ARMS}}}", "put a wait between"),
        (f"- bandt: {{{ARMS}}}", "bandit"),
    ],
)
def test_what_is_wrong_is_said_with_what_was_meant(written: str, said: str) -> None:
    assert said in errors(written)


def test_an_example_that_draws_what_is_not_there_is_told_what_is() -> None:
    text = f"- bandit: {{{ARMS}}}\nexamples: [{{draw: aa, given: [], expect: []}}]"
    assert "no split or bandit of this rule has a branch `aa`" in errors(text)


def test_a_page_has_no_bandit() -> None:
    text = f"rule: r\nwhen: {{request: home}}\nonce_per: day\ndo:\n  - bandit: {{{ARMS}}}\n"
    with pytest.raises(RuleErrors, match="use split"):
        load_text(text)


def test_odds_add_up_to_one_and_none_is_below_the_floor() -> None:
    for worths in ([0.0, 0.0, 0.0], [1.0, 0.2, -5.0], [float("inf"), 1.0], [0.1] * 12):
        for sharpness in (0.0, 3.0, 1e9):
            found = odds(worths, sharpness, 0.06)
            assert sum(found) == pytest.approx(1.0, abs=1e-12)
            assert min(found) >= 0.06 / len(worths) - 1e-12
            assert found[worths.index(max(worths))] == max(found)


def test_inputs_are_finite_whatever_is_known() -> None:
    strange = dict.fromkeys(INPUTS, float("nan")) | {INPUTS[0]: float("inf"), INPUTS[1]: -3.0}
    assert vector(strange) == [1.0] + [0.0] * len(INPUTS)
    assert vector({}) == vector(strange)


def example(arm: str, reward: float, number: int, side: float) -> dict[str, Any]:
    return {
        "place": "p", "arm": arm, "arms": ["a", "b"], "inputs": [1.0, side], "propensity": 0.5,
        "at": number * HOUR, "reward": reward,
    }  # fmt: skip


def taught(many: int = 400) -> Learner:
    """Arm a is for those of one side, arm b for the others."""
    learner = Learner()
    for n in range(many):
        side, arm = float(n % 2), "ab"[(n // 2) % 2]
        learner.learn(example(arm, float((arm == "a") == (side == 1)), n, side))
    return learner


def test_it_learns_whom_each_arm_suits() -> None:
    learner = taught()
    scorer = Scorer(orjson.loads(orjson.dumps(learner.weights())))
    for side, suits in ((1.0, 0), (0.0, 1)):
        found = scorer.odds("p", ["a", "b"], [1.0, side], 0.05)
        assert found[suits] > 0.9
    assert scorer.odds("other", ["a", "b"], [1.0, 0.0], 0.05) == [0.5, 0.5]
    assert scorer.odds("p", ["a", "b", "new"], [1.0, 0.0], 0.05)[2] > 0.9
    figures = learner.metrics()
    assert figures["loss"] < figures["base_loss"]
    assert figures["policy_gain"] > 0.5


def test_it_goes_on_to_the_bit_from_its_own_state() -> None:
    learner = taught(100)
    other = Learner.restore(orjson.loads(orjson.dumps(learner.state())))
    for n in range(50):
        row = example("ab"[n % 2], n % 3, n, n % 5)
        learner.learn(row)
        other.learn(row)
    assert orjson.dumps(learner.state()) == orjson.dumps(other.state())
    assert other.weights() == learner.weights()


@pytest.mark.parametrize(
    "wrong",
    [{"arm": "c"}, {"propensity": 0.0}, {"inputs": [float("nan")]}, {"reward": float("inf")}],
)
def test_a_bad_example_is_refused_and_nothing_changes(wrong: dict[str, Any]) -> None:
    learner = taught(20)
    before = orjson.dumps(learner.state())
    with pytest.raises(ValueError):
        learner.learn(example("a", 1.0, 1, 1.0) | wrong)
    assert orjson.dumps(learner.state()) == before


def test_money_has_a_price_while_it_is_spent_ahead_of_its_pace() -> None:
    def told(learner: Learner, cost: float, at: int) -> None:
        row = example("a", 0.0, 0, 0.0) | {"cost": cost, "daily": 100.0, "at": at}
        learner.learn({key: value for key, value in row.items() if key != "reward"})

    learner = taught(40)
    for n in range(24):
        told(learner, 10.0, DAY + n * HOUR)
    dear = learner.weights()["places"]["p"]
    assert 0.2 < dear["price"] < 0.5
    assert dear["costs"] == {"a": 1.0}
    for n in range(24, 24 * 30):
        told(learner, 1.0, DAY + n * HOUR)
    assert learner.weights()["places"]["p"]["price"] == 0.0
