-- What came of the rules: sends, redemptions, conversions, revenue, lift. Each view resolves who
-- the customer is and drops repeats; a day is the shop's.

-- A receipt need not name the rule: the decision it belongs to does.
CREATE OR REPLACE VIEW v_outcomes AS
SELECT o.decision_id AS decision_id, o.action AS action, o.fact AS fact, o.ref AS ref, o.at AS at,
  if(i.cid = '', o.cid, i.cid) AS cid, if(o.rule = '', d.rule, o.rule) AS rule,
  o.channel AS channel, o.amount AS amount, o.reason AS reason
FROM (SELECT * FROM outcomes FINAL) AS o
LEFT ANY JOIN (SELECT * FROM identities FINAL) AS i ON o.cid = i.alias
LEFT ANY JOIN (SELECT decision_id, rule FROM decisions) AS d ON o.decision_id = d.decision_id;

-- One row a message.
CREATE OR REPLACE VIEW v_messages AS
SELECT decision_id, action, any(cid) AS cid, any(rule) AS rule,
  anyIf(channel, channel != '') AS channel, minOrNullIf(at, fact = 'sent') AS sent_at,
  minOrNullIf(at, fact = 'delivered') AS delivered_at, minOrNullIf(at, fact = 'opened') AS opened_at,
  minOrNullIf(at, fact = 'clicked') AS clicked_at, minOrNullIf(at, fact = 'bounced') AS bounced_at,
  minOrNullIf(at, fact = 'unsubscribed') AS unsubscribed_at,
  minOrNullIf(at, fact = 'failed') AS failed_at, anyIf(reason, fact = 'failed') AS failed_for
FROM v_outcomes
WHERE fact != 'converted'
GROUP BY decision_id, action;

-- What became of the messages of a day, by rule and channel.
CREATE OR REPLACE VIEW v_sends AS
SELECT rule, channel, toDate(coalesce(sent_at, failed_at, delivered_at, opened_at, clicked_at),
    'Asia/Shanghai') AS day,
  count(sent_at) AS sent, countIf(failed_at IS NOT NULL AND sent_at IS NULL) AS failed,
  count(delivered_at) AS delivered, count(opened_at) AS opened, count(clicked_at) AS clicked,
  count(bounced_at) AS bounced, count(unsubscribed_at) AS unsubscribed
FROM v_messages
GROUP BY rule, channel, day;

-- One row a coupon, as it stands: its last fact is its state.
CREATE OR REPLACE VIEW v_coupons AS
SELECT coupon_id, any(if(i.cid = '', l.cid, i.cid)) AS cid, anyIf(l.rule, l.rule != '') AS rule,
  anyIf(l.offer, l.offer != '') AS offer, argMax(l.fact, (l.at, l.seq)) AS state,
  minOrNullIf(l.at, l.fact = 'issued') AS issued_at,
  maxOrNullIf(l.at, l.fact = 'redeemed') AS redeemed_at, max(l.expires_at) AS expires_at,
  maxIf(l.face, l.fact = 'issued') AS face,
  sumIf(l.cost, l.fact = 'redeemed') - sumIf(l.cost, l.fact = 'reversed') AS cost,
  argMaxIf(l.order_id, (l.at, l.seq), l.fact = 'redeemed') AS order_id
FROM (SELECT * FROM coupon_ledger FINAL) AS l
LEFT ANY JOIN (SELECT * FROM identities FINAL) AS i ON l.cid = i.alias
GROUP BY coupon_id;

CREATE OR REPLACE VIEW v_redemptions AS
SELECT c.rule AS rule, c.offer AS offer, count() AS issued, countIf(c.state = 'redeemed') AS redeemed,
  countIf(c.state = 'reversed') AS reversed, countIf(c.state = 'expired') AS expired,
  redeemed / issued AS rate, sum(c.cost) AS cost, sumIf(o.net, c.state = 'redeemed') AS revenue,
  avgIf(dateDiff('minute', c.issued_at, c.redeemed_at), c.state = 'redeemed') / 60 AS hours_to_redeem
FROM v_coupons AS c
LEFT ANY JOIN v_orders AS o ON c.order_id = o.order_id
GROUP BY rule, offer;

-- Orders paid within `days` of the rule's last act or holdout on that customer, in both arms. An
-- order may count for several rules here; what a rule is worth is v_lift's to say.
-- SELECT * FROM v_conversions(days = 7)
CREATE OR REPLACE VIEW v_conversions AS
SELECT d.rule AS rule, d.run AS run, d.arm AS arm, o.cid AS cid, d.decision_id AS decision_id,
  d.at AS decided_at, o.order_id AS order_id, o.paid_at AS paid_at, o.net AS net, o.margin AS margin
FROM (
  SELECT d.* EXCEPT cid, if(i.cid = '', d.cid, i.cid) AS cid
  FROM (
    SELECT rule, run, arm, decision_id, at, cid FROM decisions FINAL
    WHERE arm = 'holdout' OR (arm = 'treated' AND result = 'act')
  ) AS d
  LEFT ANY JOIN (SELECT * FROM identities FINAL) AS i ON d.cid = i.alias
) AS d
INNER JOIN v_orders AS o ON d.cid = o.cid
WHERE o.paid_at BETWEEN d.at AND d.at + toIntervalDay({days:UInt16})
ORDER BY decided_at DESC, decision_id
LIMIT 1 BY order_id, rule;

-- Last touch: each order belongs to the message clicked last within `days` before it was paid.
-- SELECT * FROM v_last_touch(days = 7)
CREATE OR REPLACE VIEW v_last_touch AS
SELECT c.rule AS rule, c.channel AS channel, c.action AS action, o.cid AS cid,
  c.decision_id AS decision_id, c.at AS clicked_at, o.order_id AS order_id, o.paid_at AS paid_at,
  o.net AS net, o.margin AS margin
FROM v_orders AS o
ASOF JOIN (SELECT * FROM v_outcomes WHERE fact = 'clicked') AS c
ON o.cid = c.cid AND o.paid_at >= c.at
WHERE o.paid_at <= c.at + toIntervalDay({days:UInt16});

-- Revenue by rule and day, by both attributions. SELECT * FROM v_revenue(days = 7)
CREATE OR REPLACE VIEW v_revenue AS
SELECT rule, day, sum(orders) AS orders, sum(net) AS revenue, sum(margin) AS margin,
  sum(clicked_orders) AS clicked_orders, sum(clicked_net) AS clicked_revenue
FROM (
  SELECT rule, toDate(paid_at, 'Asia/Shanghai') AS day, count() AS orders, sum(net) AS net,
    sum(margin) AS margin, 0 AS clicked_orders, toDecimal64(0, 2) AS clicked_net
  FROM v_conversions(days = {days:UInt16})
  WHERE arm = 'treated'
  GROUP BY rule, day
  UNION ALL
  SELECT rule, toDate(paid_at, 'Asia/Shanghai') AS day, 0, toDecimal64(0, 2), toDecimal64(0, 2),
    count(), sum(net)
  FROM v_last_touch(days = {days:UInt16})
  GROUP BY rule, day
)
GROUP BY rule, day;

-- Lift: what the treated did more than the holdout within `days` of their first entry, of customers
-- whose days were over by `until`. SELECT * FROM v_lift(days = 7, until = '2026-06-01')
--
-- lift_low to lift_high (shares of customers) and revenue_low to revenue_high (money a customer) are
-- a 95% confidence sequence: they hold all at once at every time of looking, so that a rule may be
-- watched daily and stopped when they leave 0. Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas,
-- "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 2024
-- (arXiv 2103.06476), theorem 2.2: half = se * sqrt(2 (t r + 1) / (t r) * ln(sqrt(t r + 1) / 0.05)).
-- Its time t is the information in two unequal arms, 4 n1 n0 / (n1 + n0) customers; r makes it
-- tightest at t = 10,000 (their equation for the optimum: (x + ln x + 1) / t with x = -2 ln 0.05).
-- se is the larger of Welch's and the pooled one: a small holdout with few large orders knows too
-- little of its own variance. Being asymptotic, it is NULL until 10 customers bought in either arm.
-- half_width_fixed_n is the usual interval, right only when read once at a date chosen before.
CREATE OR REPLACE VIEW v_lift AS
WITH
  customers AS (
    SELECT rule, run, cid, any(a.arm1) AS arm,
      toFloat64(sumIf(o.net, o.paid_at BETWEEN a.entered_at
        AND a.entered_at + toIntervalDay({days:UInt16}))) AS y,
      toFloat64(countIf(o.paid_at BETWEEN a.entered_at
        AND a.entered_at + toIntervalDay({days:UInt16})) > 0) AS c
    FROM v_arms AS a
    LEFT JOIN v_orders AS o ON a.cid = o.cid
    WHERE a.entered_at + toIntervalDay({days:UInt16}) <= {until:Date}
    GROUP BY rule, run, cid
  ),
  arms AS (
    SELECT rule, run, countIf(arm = 'treated') AS n1, countIf(arm = 'holdout') AS n0,
      avgOrNullIf(c, arm = 'treated') AS conv1, avgOrNullIf(c, arm = 'holdout') AS conv0,
      avgOrNullIf(y, arm = 'treated') AS revenue1, avgOrNullIf(y, arm = 'holdout') AS revenue0,
      n1 * conv1 >= 10 AND n0 * conv0 >= 10 AS enough,
      4 * n1 * n0 / (n1 + n0) * (2 * ln(20) + ln(2 * ln(20)) + 1) / 10000 AS time,
      if(enough, sqrt(2 * (time + 1) / time * ln(sqrt(time + 1) * 20)), NULL) AS factor,
      factor * sqrt(greatest(
        varPopIf(c, arm = 'treated') / n1 + varPopIf(c, arm = 'holdout') / n0,
        varPop(c) * (1 / n1 + 1 / n0))) AS half,
      factor * sqrt(greatest(
        varPopIf(y, arm = 'treated') / n1 + varPopIf(y, arm = 'holdout') / n0,
        varPop(y) * (1 / n1 + 1 / n0))) AS revenue_half
    FROM customers
    GROUP BY rule, run
  )
SELECT rule, run, n1, n0, conv1, conv0, conv1 - conv0 AS lift,
  lift - half AS lift_low, lift + half AS lift_high,
  revenue1 - revenue0 AS revenue_a_customer, revenue_a_customer - revenue_half AS revenue_low,
  revenue_a_customer + revenue_half AS revenue_high, revenue_a_customer * n1 AS revenue_gained,
  1.96 * sqrt(conv1 * (1 - conv1) / n1 + conv0 * (1 - conv0) / n0) AS half_width_fixed_n
FROM arms;
