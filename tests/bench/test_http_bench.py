"""The bench of the HTTP door measures what it says: its processes run, its probes are decided."""

from rich.console import Console

from simulator.benches import http


def test_every_probe_is_decided_and_timed(monkeypatch):
    monkeypatch.setenv("LAIKE_BENCH_QUICK", "1")
    found = http.measure(Console(quiet=True))
    assert found["undecided"] == 0
    assert found["decisions"] >= 10
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    assert found["max_events_per_second"] >= 100
