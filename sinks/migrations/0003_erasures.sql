-- Who was erased, by a salted hash of each id: read into Redis before anything is replayed there, so
-- that no history brings him back. `number` counts the erasures of one id.
CREATE TABLE IF NOT EXISTS erasures (
  name String,
  shard UInt16,
  erased_at DateTime64(3, 'UTC'),
  number UInt32,
  erasure_id String
) ENGINE = ReplacingMergeTree(number) ORDER BY name;
