"""Which offer works, measured: on a real mailing, on real logs of two policies, on known truth."""

import os
from pathlib import Path

import pytest

from simulator.learning_offers import OPEN_BANDIT, off_policy, policy
from simulator.learning_offers_known import known, measured
from simulator.offers_life import live
from simulator.offers_trial import Bandit, always, cases, lived, oracle

DATA = Path(os.environ.get("LAIKE_DATA_DIR", Path(__file__).parents[2] / "../shared/data"))
needs_data = pytest.mark.skipif(
    not (DATA / "optional" / OPEN_BANDIT).exists(), reason="the real data is not here"
)


@needs_data
def test_hillstroms_mailing_is_better_sent_as_learned() -> None:
    section = policy(DATA)
    assert section is not None
    ips = {row["policy"]: row["ips"] for row in section.rows}
    assert ips["ours"] > ips["always mens"] > ips["always womens"] > ips["random"] > ips["never"]
    ours = next(row for row in section.rows if row["policy"] == "ours")
    assert ours["low"] > next(row["high"] for row in section.rows if row["policy"] == "random")


@needs_data
def test_each_of_two_policies_is_found_in_the_others_log() -> None:
    section = off_policy(DATA)
    assert section is not None
    assert section.figures["pairs"] == 6
    assert section.figures["differ_by_chance"] == 6
    assert section.figures["snips_recovers"] == 6
    assert min(section.figures["ips_recovers"], section.figures["dr_recovers"]) >= 5


def test_a_path_without_the_data_has_no_report(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a")
    assert policy(tmp_path) is None
    assert off_policy(tmp_path) is None
    assert known(tmp_path / "x.csv") is None


def test_its_regret_falls_and_is_below_always_sends() -> None:
    for seed in (1, 2):
        people = cases(seed, 3_000)
        best, ours = oracle(people), lived(people, Bandit())
        sent = lived(people, always("coupon"))
        regrets = [one - other for one, other in zip(best.parts, ours.parts, strict=True)]
        assert sum(regrets[-3:]) < 0.75 * sum(regrets[:3])
        assert ours.worth > sent.worth
        assert best.worth > ours.worth


def test_a_budget_is_never_passed_and_its_price_earns_more_of_it() -> None:
    people = cases(3, 3_000)
    sent = lived(people, always("coupon"), 450.0)
    ours = lived(people, Bandit(450.0), 450.0)
    assert max(sent.spent, ours.spent) <= 450.0 * 3_000 / 200
    assert ours.refused < sent.refused / 4
    assert ours.worth > sent.worth


def test_the_same_seed_is_the_same_trial() -> None:
    one, other = (lived(cases(4, 600), Bandit()) for _ in range(2))
    assert one == other


def test_a_shop_lived_whole_draws_all_arms_and_learns() -> None:
    one = live("bandit", 1, 40, 12)
    assert one.entries > 20
    assert set(one.drawn) == {"coupon", "words", "nothing"}
    assert one == live("bandit", 1, 40, 12)


def test_the_section_holds_ours_beside_the_baselines() -> None:
    section = measured(2, 600, (1, 20, 8))
    assert section.figures["seeds"] == 2
    names = [row["policy"] for row in section.rows]
    assert {"ours", "always send (coupon)", "the shop: bandit", "ours, by price"} <= set(names)
    assert len(section.charts[0].curves[0].points) == 10
