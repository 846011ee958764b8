"""The live table fits an ordinary terminal, however many rules there are, and shows the model."""

import io

from rich.console import Console

from api.live import RULES_SHOWN, Look, Screen
from api.up import _wrong
from api.up_counts import Counts

COUNTS = Counts(
    events_in=1_234_567,
    events_processed=1_234_567,
    decisions={f"a-rule-of-some-length-{n:02}": {"act": n * 100, "hold": n} for n in range(20)},
    outcomes_written=8_763,
    latency_ms={"p50": 297.0, "p99": 706.0},
    models={"purchase_24h": {"auc": 0.6712, "log_loss": 0.3434, "examples": 36_445}},
)


def shown(counts: Counts, width: int = 100, height: int = 30) -> list[str]:
    """The screen of such a terminal, full of messages."""
    console = Console(width=width, height=height, force_terminal=True, color_system=None)
    screen = Screen(console)
    screen.go(Look("http://127.0.0.1:8000", ".laike", ".venv/bin/laike", "server_" + "k" * 32))
    screen.counts = counts
    with console.capture() as said:
        for number in range(9):
            screen._messages.append(f"worker ended, again in {number} s")
        console.print(screen._table())
    return said.get().splitlines()


def test_it_fits_and_shows_the_busiest_rules_and_the_models_score():
    lines = shown(COUNTS)
    assert len(lines) <= 30
    text = "\n".join(lines)
    assert "purchase 24h AUC" in text
    assert "0.67" in text
    assert "a-rule-of-some-length-19" in text
    assert "a-rule-of-some-length-00" not in text
    assert f"and {20 - RULES_SHOWN} more" in text


def test_on_a_small_terminal_fewer_rules_leave_room_and_no_command_breaks():
    lines = shown(COUNTS, width=80, height=24)
    assert sum("a-rule-of-some-length" in line for line in lines) == 6
    text = [line.strip() for line in lines]
    assert f"an event    KEY=server_{'k' * 32}" in text
    assert "curl -u $KEY: http://127.0.0.1:8000/v1/track \\" in text
    assert """-d '{"userId":"me","event":"Cart Viewed"}'""" in text


def test_a_score_of_few_examples_is_not_shown():
    few = Counts(models={"purchase_24h": {"auc": 0.3, "examples": 195}})
    assert "0.30" not in "\n".join(shown(few))
    assert "learning" in "\n".join(shown(few))


def test_the_end_is_told_at_once():
    console = Console(width=100, height=30, file=io.StringIO())
    Screen(console).drain()
    assert "draining" in console.file.getvalue()


def test_a_question_to_copy_stands_on_one_line():
    assert any(line.rstrip().endswith('GROUP BY ALL"') for line in shown(Counts()))


def test_a_run_that_was_not_clean_says_why():
    assert _wrong(COUNTS, [], drained=True) == []
    lossy = Counts(events_in=3, duplicates=2, lag=0)
    told = _wrong(lossy, ["api"], drained=False)
    assert [line.split()[0] for line in told] == ["3", "2", "had", "not"]


def test_what_happened_goes_beside_the_numbers_of_a_machine(capsys):
    Screen(Console(), quiet=True).say("the rules stay as they were:\na.yaml:1:1: no")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "the rules stay as they were:\na.yaml:1:1: no\n")
