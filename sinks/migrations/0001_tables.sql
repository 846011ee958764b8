-- Facts are appended, never rewritten. Every table is a ReplacingMergeTree keyed by an id that the
-- engine derives from the log, and partitioned by a time fixed by that id, so a repeat adds nothing.
-- Money is Decimal(18,2) in the shop's currency, every time is UTC and comes from the event (no
-- now() defaults), and cid is the customer as known when the row was written; the views resolve it.

CREATE TABLE IF NOT EXISTS events (
  event LowCardinality(String),
  cid String,
  at DateTime64(3, 'UTC'),
  message_id String,
  source LowCardinality(String),
  received_at DateTime64(3, 'UTC'),
  session_id String,
  channel LowCardinality(String),
  product_id String,
  category LowCardinality(String),
  brand LowCardinality(String),
  live_id String,
  order_id String,
  price Decimal(18, 2),
  quantity Int32,
  type LowCardinality(String),
  user_id String,
  anonymous_id String,
  traits String,
  context String CODEC(ZSTD(3)),
  log_time DateTime64(3, 'UTC'),
  properties String CODEC(ZSTD(3)),
  shard UInt16,
  log_offset UInt64,
  version UInt64  -- falls as log_offset grows: the first content of an event stays
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(at) ORDER BY (event, cid, at, source, message_id);

-- One row an alias; cid is always the final one.
CREATE TABLE IF NOT EXISTS identities (
  alias String,
  cid String,
  linked_at DateTime64(3, 'UTC'),
  version UInt64
) ENGINE = ReplacingMergeTree(version) ORDER BY alias;

-- The amount is signed: paid +, refunded -, the others 0. The message_id of every fact except a
-- refund is the order_id, so that a shop that repeats itself in other words still counts once.
CREATE TABLE IF NOT EXISTS order_facts (
  order_id String,
  fact Enum8('placed' = 1, 'paid' = 2, 'shipped' = 3, 'delivered' = 4, 'refunded' = 5,
             'cancelled' = 6),
  line UInt16,
  at DateTime64(3, 'UTC'),
  message_id String,
  cid String,
  product_id String,
  category LowCardinality(String),
  merchant_id LowCardinality(String),
  channel LowCardinality(String),
  quantity Int32,
  amount Decimal(18, 2),
  discount Decimal(18, 2),
  cost Decimal(18, 2),
  coupon_id String,
  promised_at Nullable(DateTime64(3, 'UTC')),
  version UInt64
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(at) ORDER BY (cid, order_id, fact, line, message_id, at);

CREATE TABLE IF NOT EXISTS decisions (
  rule LowCardinality(String),
  at DateTime64(3, 'UTC'),
  decision_id FixedString(26),
  cid String,
  run LowCardinality(String),
  instance String,
  step LowCardinality(String),
  version String,
  purpose LowCardinality(String),
  result Enum8('act' = 1, 'hold' = 2),
  held LowCardinality(String),
  arm Enum8('none' = 0, 'treated' = 1, 'holdout' = 2, 'global_holdout' = 3, 'shadow' = 4),
  split LowCardinality(String),
  propensity Float32,
  model_version LowCardinality(String),
  values Map(LowCardinality(String), String),
  actions String,
  latency_ms UInt32,
  shard UInt16,
  log_offset UInt64
) ENGINE = ReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(at) ORDER BY (rule, at, decision_id);

-- What came of a decision: sent delivered opened clicked bounced unsubscribed failed converted.
CREATE TABLE IF NOT EXISTS outcomes (
  decision_id FixedString(26),
  action LowCardinality(String),
  fact LowCardinality(String),
  ref String,
  at DateTime64(3, 'UTC'),
  cid String,
  rule LowCardinality(String),
  channel LowCardinality(String),
  amount Decimal(18, 2),
  reason LowCardinality(String),
  version UInt64
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(at) ORDER BY (rule, decision_id, action, fact, ref, at);

CREATE TABLE IF NOT EXISTS coupon_ledger (
  coupon_id String,
  seq UInt16,
  fact Enum8('issued' = 1, 'reserved' = 2, 'released' = 3, 'redeemed' = 4, 'reversed' = 5,
             'expired' = 6, 'voided' = 7),
  at DateTime64(3, 'UTC'),
  cid String,
  decision_id FixedString(26),
  rule LowCardinality(String),
  offer LowCardinality(String),
  face Decimal(18, 2),
  cost Decimal(18, 2),
  order_id String,
  expires_at DateTime64(3, 'UTC'),
  version UInt64
) ENGINE = ReplacingMergeTree(version) ORDER BY (coupon_id, seq);

-- A rule's version is the hash of the book it was published in.
CREATE TABLE IF NOT EXISTS rules (
  rule LowCardinality(String),
  version String,
  published_at DateTime64(3, 'UTC'),
  published_by String,
  title String,
  owner LowCardinality(String),
  purpose LowCardinality(String),
  status LowCardinality(String),
  sha256 FixedString(64),
  body String
) ENGINE = ReplacingMergeTree ORDER BY (rule, version);

CREATE TABLE IF NOT EXISTS model_metrics (
  model LowCardinality(String),
  at DateTime64(3, 'UTC'),
  version String,
  metric LowCardinality(String),
  value Float64,
  examples UInt64
) ENGINE = ReplacingMergeTree ORDER BY (model, metric, at, version);

CREATE TABLE IF NOT EXISTS quarantine (
  quarantine_id String,
  at DateTime64(3, 'UTC'),
  source LowCardinality(String),
  reason LowCardinality(String),
  detail String,
  body String CODEC(ZSTD(3)),
  retried_at Nullable(DateTime64(3, 'UTC')),
  version UInt64
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(at) ORDER BY (at, quarantine_id);
