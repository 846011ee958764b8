-- What customers say of products, merchants and the shop: reviews and other texts as they were read,
-- surveys, and the merchants' scorecard.

-- One row a text. `sentiment` is how likely it is a good one, missing where no model could tell yet;
-- contacts in the text were blanked before it was written, and it ends at 500 characters.
CREATE TABLE IF NOT EXISTS review_facts (
  review_id String,
  event LowCardinality(String),
  at DateTime64(3, 'UTC'),
  cid String,
  product_id String,
  order_id String,
  merchant_id LowCardinality(String),
  channel LowCardinality(String),
  rating Nullable(Float32),
  sentiment Nullable(Float32),
  topics Array(LowCardinality(String)),
  complaint UInt8,
  text String CODEC(ZSTD(3)),
  version UInt64
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(at) ORDER BY (event, at, review_id);

CREATE TABLE IF NOT EXISTS survey_facts (
  message_id String,
  at DateTime64(3, 'UTC'),
  cid String,
  kind LowCardinality(String),
  score Float32,
  ticket_id String,
  order_id String,
  merchant_id LowCardinality(String),
  staff_id LowCardinality(String),
  channel LowCardinality(String),
  version UInt64
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(at) ORDER BY (kind, at, message_id);

CREATE OR REPLACE VIEW v_reviews AS
SELECT r.* EXCEPT cid, if(i.cid = '', r.cid, i.cid) AS cid
FROM (SELECT * FROM review_facts FINAL) AS r
LEFT ANY JOIN (SELECT * FROM identities FINAL) AS i ON r.cid = i.alias;

-- Complaints by what they are about; one of several topics counts for each.
CREATE OR REPLACE VIEW v_complaints AS
SELECT merchant_id, product_id, arrayJoin(if(empty(topics), ['other'], topics)) AS topic,
  toDate(at, 'Asia/Shanghai') AS day, count() AS complaints, uniq(cid) AS customers
FROM v_reviews
WHERE complaint = 1
GROUP BY merchant_id, product_id, topic, day;

-- The last answer of each customer in a month counts. nps runs from -100 to 100; half_width is that
-- of its 95% interval (normal approximation of promoters less detractors).
CREATE OR REPLACE VIEW v_nps AS
SELECT month, count() AS answers, countIf(score >= 9) AS promoters,
  countIf(score >= 7 AND score < 9) AS passives, countIf(score < 7) AS detractors,
  100 * (promoters - detractors) / answers AS nps,
  100 * 1.96 * sqrt(((promoters + detractors) / answers - pow(nps / 100, 2)) / answers) AS half_width
FROM (
  SELECT toStartOfMonth(toDate(s.at, 'Asia/Shanghai')) AS month,
    if(i.cid = '', s.cid, i.cid) AS who, argMax(s.score, (s.at, s.message_id)) AS score
  FROM (SELECT * FROM survey_facts FINAL WHERE kind = 'nps') AS s
  LEFT ANY JOIN (SELECT * FROM identities FINAL) AS i ON s.cid = i.alias
  GROUP BY month, who
)
GROUP BY month;

-- Every answer counts; content are those of 4 and 5.
CREATE OR REPLACE VIEW v_csat AS
SELECT toStartOfMonth(toDate(at, 'Asia/Shanghai')) AS month, merchant_id, staff_id,
  count() AS answers, countIf(score >= 4) AS content, 100 * content / answers AS csat,
  avg(score) AS average
FROM survey_facts FINAL
WHERE kind = 'csat'
GROUP BY month, merchant_id, staff_id;

-- The merchants' scorecard. late_shipments left after they were promised to, late_tickets were
-- resolved after they were due.
CREATE OR REPLACE VIEW v_merchants AS
SELECT merchant_id, sum(o_orders) AS orders, sum(o_net) AS net,
  sum(o_refunded) AS refunded_orders, refunded_orders / nullIf(orders, 0) AS refund_rate,
  sum(o_late) AS late_shipments, sum(r_reviews) AS reviews,
  sum(r_stars) / nullIf(sum(r_rated), 0) AS rating, sum(r_complaints) AS complaints,
  complaints / nullIf(reviews, 0) AS complaint_rate, max(r_topic) AS first_topic,
  sum(t_tickets) AS tickets, sum(t_late) AS late_tickets, sum(s_spikes) AS complaint_spikes
FROM (
  SELECT merchant_id, uniqIf(order_id, paid) AS o_orders, sum(amount) AS o_net,
    uniqIf(order_id, refunded) AS o_refunded, uniqIf(order_id, shipped_at > promised) AS o_late,
    0 AS r_reviews, 0. AS r_stars, 0 AS r_rated, 0 AS r_complaints, '' AS r_topic,
    0 AS t_tickets, 0 AS t_late, 0 AS s_spikes
  FROM (
    SELECT order_id, anyIf(f.merchant_id, f.merchant_id != '') AS merchant_id,
      toFloat64(sum(f.amount)) AS amount, countIf(fact = 'paid') > 0 AS paid,
      countIf(fact = 'refunded') > 0 AS refunded,
      minOrNullIf(at, fact = 'shipped') AS shipped_at, max(promised_at) AS promised
    FROM order_facts AS f FINAL
    GROUP BY order_id
  )
  WHERE merchant_id != ''
  GROUP BY merchant_id
  UNION ALL
  SELECT merchant_id, 0, 0., 0, 0, count(), toFloat64(sum(ifNull(rating, 0))), count(rating),
    countIf(complaint = 1), '', 0, 0, 0
  FROM v_reviews
  WHERE merchant_id != '' AND event = 'Product Reviewed'
  GROUP BY merchant_id
  UNION ALL
  SELECT merchant_id, 0, 0., 0, 0, 0, 0., 0, 0, argMax(topic, (complaints, topic)), 0, 0, 0
  FROM (
    SELECT merchant_id, topic, sum(complaints) AS complaints
    FROM v_complaints
    WHERE merchant_id != ''
    GROUP BY merchant_id, topic
  )
  GROUP BY merchant_id
  UNION ALL
  SELECT merchant_id, 0, 0., 0, 0, 0, 0., 0, 0, '', count(), countIf(resolved_at > due), 0
  FROM (
    SELECT ticket_id, anyIf(t.merchant_id, t.merchant_id != '') AS merchant_id,
      maxOrNullIf(at, fact = 'resolved') AS resolved_at, max(due_at) AS due
    FROM ticket_facts AS t FINAL
    GROUP BY ticket_id
  )
  WHERE merchant_id != ''
  GROUP BY merchant_id
  UNION ALL
  SELECT substring(cid, 3) AS merchant_id, 0, 0., 0, 0, 0, 0., 0, 0, '', 0, 0, count()
  FROM events FINAL
  WHERE event = 'Complaint Spiked'
  GROUP BY merchant_id
)
GROUP BY merchant_id;
