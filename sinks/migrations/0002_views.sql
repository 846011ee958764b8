-- The only names an analyst needs: each view resolves who the customer is and drops repeats.

CREATE OR REPLACE VIEW v_events AS
SELECT e.* EXCEPT cid, if(i.cid = '', e.cid, i.cid) AS cid
FROM (SELECT * FROM events FINAL) AS e
LEFT ANY JOIN (SELECT * FROM identities FINAL) AS i ON e.cid = i.alias;

CREATE OR REPLACE VIEW v_order_facts AS
SELECT o.* EXCEPT cid, if(i.cid = '', o.cid, i.cid) AS cid
FROM (SELECT * FROM order_facts FINAL) AS o
LEFT ANY JOIN (SELECT * FROM identities FINAL) AS i ON o.cid = i.alias;

CREATE OR REPLACE VIEW v_orders AS
SELECT order_id, any(cid) AS cid, minIf(at, fact = 'paid') AS paid_at, sum(amount) AS net,
  sumIf(amount, fact = 'paid') AS gross, sum(amount - cost) AS margin,
  maxIf(1, fact = 'refunded') AS refunded,
  groupUniqArrayIf(coupon_id, coupon_id != '') AS coupons,
  minOrNullIf(at, fact = 'shipped') AS shipped_at, max(promised_at) AS promised_at
FROM v_order_facts
GROUP BY order_id
HAVING countIf(fact = 'paid') > 0;

-- SELECT * FROM v_rfm(day = '2026-06-01')
CREATE OR REPLACE VIEW v_rfm AS
SELECT cid, dateDiff('day', max(paid_at), {day:Date}) AS recency_days, count() AS frequency,
  sum(net) AS monetary,
  6 - ntile(5) OVER (ORDER BY recency_days) AS r,
  ntile(5) OVER (ORDER BY frequency) AS f,
  ntile(5) OVER (ORDER BY monetary) AS m
FROM v_orders
WHERE paid_at < {day:Date}
GROUP BY cid;

-- The customer is the unit, from its first entry: intention to treat.
CREATE OR REPLACE VIEW v_arms AS
SELECT rule, run, if(i.cid = '', d.cid, i.cid) AS cid, argMin(arm, at) AS arm1,
  min(at) AS entered_at
FROM (SELECT * FROM decisions FINAL WHERE arm IN ('treated', 'holdout')) AS d
LEFT ANY JOIN (SELECT * FROM identities FINAL) AS i ON d.cid = i.alias
GROUP BY rule, run, cid;

-- SELECT * FROM v_lift(days = 7, until = '2026-06-01'). The interval is a fixed-n one: it holds
-- when read once, at a date chosen before.
CREATE OR REPLACE VIEW v_lift AS
WITH x AS (
  SELECT rule, run, cid, any(a.arm1) AS arm,
    toFloat64(sumIf(o.net, o.paid_at BETWEEN a.entered_at
      AND a.entered_at + toIntervalDay({days:UInt16}))) AS y,
    countIf(o.paid_at BETWEEN a.entered_at
      AND a.entered_at + toIntervalDay({days:UInt16})) > 0 AS c
  FROM v_arms AS a
  LEFT JOIN v_orders AS o ON a.cid = o.cid
  WHERE a.entered_at + toIntervalDay({days:UInt16}) <= {until:Date}
  GROUP BY rule, run, cid
)
SELECT rule, run, countIf(arm = 'treated') AS n1, countIf(arm = 'holdout') AS n0,
  avgIf(c, arm = 'treated') AS conv1, avgIf(c, arm = 'holdout') AS conv0, conv1 - conv0 AS lift,
  avgIf(y, arm = 'treated') - avgIf(y, arm = 'holdout') AS revenue_a_customer,
  1.96 * sqrt(conv1 * (1 - conv1) / n1 + conv0 * (1 - conv0) / n0) AS half_width_fixed_n
FROM x
GROUP BY rule, run;

CREATE OR REPLACE VIEW v_coupon_cost AS
SELECT rule, offer, toDate(at, 'Asia/Shanghai') AS day, countIf(fact = 'issued') AS issued,
  countIf(fact = 'redeemed') - countIf(fact = 'reversed') AS redeemed,
  sumIf(cost, fact = 'redeemed') - sumIf(cost, fact = 'reversed') AS cost,
  sumIf(face, fact = 'issued') AS liability
FROM coupon_ledger FINAL
GROUP BY rule, offer, day;
