-- What was promised and what was done about a customer, entry by entry: points, moves in and out of
-- segments, tiers, labels and audiences, tickets; and the customer as he stands.

-- Points are signed: earned +, redeemed -, expired -; the sum over a customer is his balance.
CREATE TABLE IF NOT EXISTS points_ledger (
  cid String,
  entry_id String,
  at DateTime64(3, 'UTC'),
  fact LowCardinality(String),
  points Int64,
  lot String,
  expires_at Nullable(DateTime64(3, 'UTC')),
  order_id String,
  rule LowCardinality(String),
  version UInt64
) ENGINE = ReplacingMergeTree(version) ORDER BY (cid, entry_id);

-- A move is +1 in, -1 out; `member.gold` is a tier, `tag.vip` a label, `audience.x` an audience.
CREATE TABLE IF NOT EXISTS segment_moves (
  segment LowCardinality(String),
  at DateTime64(3, 'UTC'),
  cid String,
  seq UInt64,
  move Int8,
  came_from LowCardinality(String),
  went_to LowCardinality(String),
  version UInt64
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(at) ORDER BY (segment, at, cid, seq);

CREATE TABLE IF NOT EXISTS ticket_facts (
  ticket_id String,
  at DateTime64(3, 'UTC'),
  message_id String,
  fact Enum8('opened' = 1, 'assigned' = 2, 'replied' = 3, 'resolved' = 4, 'reopened' = 5,
             'rated' = 6),
  cid String,
  staff_id LowCardinality(String),
  team LowCardinality(String),
  merchant_id LowCardinality(String),
  topic LowCardinality(String),
  channel LowCardinality(String),
  priority LowCardinality(String),
  due_at Nullable(DateTime64(3, 'UTC')),
  score Nullable(Float32),
  by_bot UInt8,
  version UInt64
) ENGINE = ReplacingMergeTree(version) ORDER BY (ticket_id, at, message_id);

-- The customer as known when last written, at most once a day of log time. No contact is here, ever.
CREATE TABLE IF NOT EXISTS customers (
  cid String,
  version UInt64,
  updated_at DateTime64(3, 'UTC'),
  first_seen Nullable(DateTime64(3, 'UTC')),
  last_seen Nullable(DateTime64(3, 'UTC')),
  birthday_md UInt16,
  tier LowCardinality(String),
  segments Array(LowCardinality(String)),
  consent Map(LowCardinality(String), Array(LowCardinality(String))),
  scores Map(LowCardinality(String), Float32),
  points Int64,
  everything_holdout UInt8
) ENGINE = ReplacingMergeTree(version) ORDER BY cid;

-- Who went into an account that he turned out to be no longer stands for himself.
CREATE OR REPLACE VIEW v_customers AS
SELECT * FROM customers FINAL WHERE cid NOT IN (SELECT alias FROM identities FINAL);

CREATE OR REPLACE VIEW v_points AS
SELECT if(i.cid = '', p.cid, i.cid) AS cid, sum(p.points) AS balance,
  sumIf(p.points, p.fact IN ('earned', 'bonus', 'given')) AS earned,
  -sumIf(p.points, p.fact = 'redeemed') AS redeemed,
  -sumIf(p.points, p.fact = 'expired') AS expired
FROM (SELECT * FROM points_ledger FINAL) AS p
LEFT ANY JOIN (SELECT * FROM identities FINAL) AS i ON p.cid = i.alias
GROUP BY cid;

CREATE OR REPLACE VIEW v_segment_size AS
SELECT segment, day, sum(net) OVER (PARTITION BY segment ORDER BY day) AS size
FROM (
  SELECT segment, toDate(at, 'Asia/Shanghai') AS day, sum(move) AS net
  FROM segment_moves FINAL
  GROUP BY segment, day
);

CREATE OR REPLACE VIEW v_tickets AS
SELECT ticket_id, anyIf(team, team != '') AS team1,
  argMinIf(staff_id, at, fact = 'replied' AND by_bot = 0) AS staff,
  min(at) AS opened_at,
  minOrNullIf(at, fact = 'replied' AND by_bot = 0) AS first_reply_at,
  maxOrNullIf(at, fact = 'resolved') AS resolved_at,
  max(due_at) AS due,
  anyOrNullIf(score, fact = 'rated') AS csat,
  countIf(fact = 'reopened') AS reopened
FROM ticket_facts FINAL
GROUP BY ticket_id;
