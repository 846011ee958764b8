"""The numbers of letters, over the many commits of one tick."""

from engine.effects import Effects, Letter
from engine.outbox import letters
from engine.store import ShardState


def sent(state: ShardState, many: int, *, tick: bool) -> list[tuple[str, str]]:
    """Id and predecessor of what one commit at offset 7 sends."""
    effects = Effects(letters=[Letter("u:1", "event", {}, 7) for _ in range(many)])
    return [(one["id"], one["prev"]) for one in letters(effects, 0, 1, state, tick=tick)]


def test_a_commit_of_a_tick_that_sends_none_forgets_no_number():
    state = ShardState()
    assert sent(state, 2, tick=True) == [("7-0", ""), ("7-1", "7-0")]
    assert sent(state, 0, tick=True) == []
    assert sent(state, 1, tick=True) == [("7-2", "7-1")]
    assert sent(state, 1, tick=False) == [("7-3", "7-2")]
    assert state.tick_letters == 0
