"""Every metric's name, what it counts, in which unit: the one closed list.

Must live here: the list. Must not: a number (measures.py adds up, api/metrics.py reads and shows).
A label's values are known names (a shard, a rule, a sink, a code), never a customer's.
`source` says where a number comes from: `shards` what they committed, `told` what processes add up
in Redis, `relay` what each sink says, `door` this API process alone, `read` looked at when asked.
"""

from typing import Final, Literal, NamedTuple

PREFIX: Final = "laike_"

Kind = Literal["counter", "gauge", "histogram"]
Source = Literal["shards", "told", "relay", "door", "read"]


class Metric(NamedTuple):
    """One line of the list; `buckets` are a histogram's upper bounds, in its unit."""

    name: str
    kind: Kind
    unit: str
    doc: str
    source: Source
    label: str = ""
    buckets: tuple[float, ...] = ()


_BATCH = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_WAY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

METRICS: Final[tuple[Metric, ...]] = (
    Metric("events_received_total", "counter", "events", "in the log", "shards"),
    Metric("events_processed_total", "counter", "events", "applied to a customer", "shards"),
    Metric("events_duplicate_total", "counter", "events", "dropped as repeats", "shards"),
    Metric("events_quarantined_total", "counter", "events", "put aside with a reason", "shards"),
    Metric("events_forwarded_total", "counter", "events", "sent on to who a visitor is", "shards"),
    Metric("events_erased_total", "counter", "events", "erasures asked for, and what they keep out",
           "shards"),
    Metric("decisions_act_total", "counter", "decisions", "that acted", "shards", "rule"),
    Metric("decisions_hold_total", "counter", "decisions", "held, for whatever reason", "shards",
           "rule"),
    Metric("rule_errors_total", "counter", "decisions", "held because the rule failed", "shards",
           "rule"),
    Metric("rules_shards", "gauge", "shards", "deciding by this version of the rules", "shards",
           "version"),
    Metric("lag_events", "gauge", "records", "in the log and not decided", "shards", "shard"),
    Metric("lag_seconds", "gauge", "seconds", "a waiting shard is behind, in wall time", "shards",
           "shard"),
    Metric("timers_pending", "gauge", "customers", "with a timer set", "shards", "shard"),
    Metric("timers_late", "gauge", "customers", "whose timer is over a minute past due", "shards",
           "shard"),
    Metric("peak", "gauge", "0 or 1", "timers of lower-priority rules wait", "shards", "shard"),
    Metric("outbox_bytes", "gauge", "bytes", "of a shard's outbox, estimated", "shards", "shard"),
    Metric("outbox_bytes_max", "gauge", "bytes", "at which commits pause and ingest answers 429",
           "read"),
    Metric("workers", "gauge", "processes", "with a heartbeat in the last 5 s", "read"),
    Metric("redis_memory_ratio", "gauge", "ratio", "of maxmemory used; 429 at 0.75, 503 at 0.85",
           "read"),
    Metric("disk_free_bytes", "gauge", "bytes", "free where the data folder is", "read"),
    Metric("ready", "gauge", "0 or 1", "what /readyz says", "read"),
    Metric("degraded", "gauge", "0 or 1", "ready, but something useful is away", "read"),
    Metric("model_age_seconds", "gauge", "seconds", "since the last snapshot was published",
           "read"),
    Metric("model_auc", "gauge", "ratio", "over the last 2,000 examples, each predicted before it"
           " was learned", "read", "model"),
    Metric("model_log_loss", "gauge", "nats", "of its predictions, each made before its example was"
           " learned", "read", "model"),
    Metric("model_brier", "gauge", "squares", "of the chances it gave, less what came of it",
           "read", "model"),
    Metric("model_calibration_error", "gauge", "ratio", "how far the chances it gave are from how"
           " often it came so, in ten bins", "read", "model"),
    Metric("model_examples", "gauge", "examples", "learned", "read", "model"),
    Metric("model_drifts", "gauge", "times", "its loss was found to have grown (ADWIN)", "read",
           "model"),
    Metric("model_recent_loss", "gauge", "loss", "since it grew or shrank last", "read", "model"),
    Metric("model_promotions", "gauge", "times", "its challenger was promoted", "read", "model"),
    Metric("model_refused", "gauge", "examples", "that it could not learn from", "read", "model"),
    Metric("decide_seconds", "histogram", "seconds", "of deciding one batch, in memory", "told",
           buckets=_BATCH),
    Metric("event_to_commit_seconds", "histogram", "seconds",
           "from a commit's oldest record in the log to the commit, in wall time", "told",
           buckets=_WAY),
    Metric("commit_to_row_seconds", "histogram", "seconds", "from a commit to its rows", "told",
           buckets=_WAY),
    Metric("fenced_commits_total", "counter", "commits", "refused: another owner", "told"),
    Metric("rebalances_total", "counter", "times", "a worker was given its shards", "told"),
    Metric("commits_paused_total", "counter", "seconds", "of workers at the outbox's bound",
           "told"),
    Metric("relay_retries_total", "counter", "attempts", "of a sink that failed", "told", "sink"),
    Metric("relay_written_total", "counter", "rows", "or messages that a sink carried", "relay",
           "sink"),
    Metric("relay_lag_events", "gauge", "records", "a sink is behind", "relay", "sink"),
    Metric("relay_failing", "gauge", "attempts", "in a row that failed", "relay", "sink"),
    Metric("door_events_total", "counter", "events", "accepted or rejected at this door", "door",
           "fate"),
    Metric("door_refused_total", "counter", "calls", "refused at this door, by their code", "door",
           "code"),
)  # fmt: skip

BY_NAME: Final = {metric.name: metric for metric in METRICS}


def table() -> str:
    """The list as a table for people (api/README.md holds it, a test compares)."""
    lines = ["| metric | kind | by | what |", "|---|---|---|---|"]
    lines += [
        f"| {PREFIX}{m.name} | {m.kind} | {m.label} | {m.unit} {m.doc} |" for m in METRICS
    ]  # fmt: skip
    return "\n".join(lines)
