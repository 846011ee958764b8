"""Off-policy estimators, held against a truth that is known; policies and logs from files."""

from pathlib import Path

import numpy as np
import pytest

from rules.errors import RuleErrors
from simulator.off_policy import Floats, Log, bernstein, evaluate, evaluate_by
from simulator.off_policy_logs import Columns, from_csv
from simulator.policies import BadPolicy, Logged, policy_of

ARMS = ("a", "b", "c")
SURE = np.array([0.1, 0.3, 0.2])  # the truth of each arm for side 0, and turned round for side 1


def logged(seed: int, many: int = 600) -> tuple[Log, Floats, float]:
    """A log by odds that lean on the context, another policy, and its true value in these."""
    rng = np.random.default_rng(seed)
    side = rng.integers(0, 2, many)
    odds = np.where(side[:, None] == 1, [0.6, 0.3, 0.1], [0.2, 0.2, 0.6])
    drawn = np.array([rng.choice(3, p=row) for row in odds])
    means = np.where(side[:, None] == 1, SURE[::-1], SURE)
    reward = (rng.random(many) < means[np.arange(many), drawn]).astype(float)
    policy = np.where(side[:, None] == 1, [0.0, 0.9, 0.1], [0.1, 0.9, 0.0])
    contexts = np.column_stack([np.ones(many), side])
    log = Log(ARMS, drawn, odds[np.arange(many), drawn], reward, contexts, np.arange(many))
    return log, policy, float((policy * means).sum(axis=1).mean())


def test_each_interval_holds_the_truth_about_95_times_of_100() -> None:
    held = np.zeros(3)
    biases = np.zeros(3)
    for seed in range(1_000, 1_120):
        log, policy, truth = logged(seed, 300)
        value = evaluate(log, policy)
        for number, one in enumerate((value.ips, value.snips, value.dr)):
            held[number] += one.low <= truth <= one.high
            biases[number] += one.value - truth
    assert (held / 120 >= 0.90).all()
    assert (held / 120 <= 0.99).all()
    assert (np.abs(biases / 120) < 0.01).all()


def test_doubly_robust_is_no_wider_where_the_model_is_right_and_bernstein_is_wider() -> None:
    log, policy, truth = logged(3, 4_000)
    value, sure = evaluate(log, policy), bernstein(log, policy)
    assert value.dr.high - value.dr.low < value.ips.high - value.ips.low
    assert sure.low < value.ips.low < value.ips.high < sure.high
    assert sure.value == pytest.approx(value.ips.value)
    assert sure.low <= truth <= sure.high


def test_a_policy_evaluated_on_its_own_log_is_its_mean() -> None:
    log, _, _ = logged(1)
    value = evaluate_by(log, np.ones(len(log)))
    for one in (value.ips, value.snips, value.dr):
        assert one.value == pytest.approx(float(log.reward.mean()))
    assert value.effective == pytest.approx(len(log))
    assert value.matched == 1.0


def test_decisions_of_one_customer_count_as_one_in_the_interval() -> None:
    log, policy, _ = logged(2)
    twice = Log(
        ARMS, np.tile(log.drawn, 4), np.tile(log.propensity, 4), np.tile(log.reward, 4),
        np.tile(log.contexts, (4, 1)), np.tile(log.who, 4),
    )  # fmt: skip
    one, four = evaluate(log, policy), evaluate(twice, np.tile(policy, (4, 1)))
    assert four.ips == pytest.approx(one.ips)


def test_what_is_no_policy_is_refused() -> None:
    log, policy, _ = logged(2)
    with pytest.raises(ValueError, match="add up to 1"):
        evaluate(log, policy * 2)
    with pytest.raises(ValueError, match="expected"):
        evaluate(log, policy[:, :2])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    log, _, _ = logged(5, 400)
    rows = [
        f"{ARMS[arm]},{chance},{reward},{'left' if side else 'right'},{side}"
        for arm, chance, reward, side in zip(
            log.drawn, log.propensity, log.reward, log.contexts[:, 1], strict=True
        )
    ]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["offer,p,paid,side,number", *rows]))
    return path


COLUMNS = Columns("offer", "p", "paid", "", ("side", "number"))


def test_a_file_is_read_with_its_own_names(file: Path) -> None:
    found = from_csv(file, COLUMNS)
    assert found.log.arms == ARMS
    assert len(found.log) == 400
    assert set(found.columns["side"]) == {"left", "right"}
    assert found.log.contexts.shape == (400, 3)  # 1, side is the rarer word, number
    fixed = from_csv(file, COLUMNS._replace(propensity="0.25"))
    assert set(fixed.log.propensity) == {0.25}


def test_a_column_that_is_not_there_is_told_with_the_near_miss(file: Path) -> None:
    with pytest.raises(BadPolicy, match=r"no column is called `payd`.*`paid`"):
        from_csv(file, COLUMNS._replace(reward="payd"))


def test_policies_by_name_and_by_file(file: Path, tmp_path: Path) -> None:
    found = from_csv(file, COLUMNS)
    assert (policy_of("random", found) == 1 / 3).all()
    assert (policy_of("always:b", found)[:, 1] == 1).all()
    learned = policy_of("learned", found)
    assert set(learned.sum(axis=1)) == {1.0}
    chosen = tmp_path / "mine.yaml"
    chosen.write_text('choose:\n  - if: side == "left" and number > 0\n    arm: a\n  - {arm: c}\n')
    odds = policy_of(str(chosen), found)
    left = np.array([word == "left" for word in found.columns["side"]])
    assert (odds[left, 0] == 1).all()
    assert (odds[~left, 2] == 1).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [("rendom", "did you mean `random`"), ("always:d", "there are a, b"), ("greedy", "in force")],
)
def test_a_policy_that_is_not_there(file: Path, text: str, said: str) -> None:
    with pytest.raises(BadPolicy, match=said):
        policy_of(text, from_csv(file, COLUMNS))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("choose:\n  - if: sied == 1\n    arm: a\n  - {arm: a}\n", "`side`"),
        ("choose:\n  - if: number > 1\n    arm: a\n", "goes without `if`"),
        ("choose:\n  - {arm: z}\n", "z"),
        ("chose: []\n", "choose"),
        ("", "choose"),
    ],
)
def test_a_policys_file_says_all_that_is_wrong(
    file: Path, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(RuleErrors) as found:
        policy_of(str(path), from_csv(file, COLUMNS))
    assert said in str(found.value)


def test_learned_needs_few_arms() -> None:
    log, _, _ = logged(1, 50)
    arms = tuple(f"a{n}" for n in range(13))
    many = Log(arms, log.drawn, log.propensity, log.reward, log.contexts, log.who)
    with pytest.raises(BadPolicy, match="at most 12 arms"):
        policy_of("learned", Logged(many, {}))
