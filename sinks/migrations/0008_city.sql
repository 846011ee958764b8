-- Where a customer lives; and a mark for whoever asks for those that are not erased: an erased
-- customer's row goes as a whole, so it is 0 in every row that is there.
ALTER TABLE customers ADD COLUMN IF NOT EXISTS city LowCardinality(String) AFTER birthday_md;
ALTER TABLE customers ADD COLUMN IF NOT EXISTS erased UInt8 AFTER everything_holdout;
