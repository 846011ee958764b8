-- Whom an alias call names, so that a backtest over the table can unite the two again.
ALTER TABLE events ADD COLUMN IF NOT EXISTS previous_id String AFTER anonymous_id;
