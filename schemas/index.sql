-- CORPUS/index.sqlite: an index over the shards and commit records of a corpus.
--
-- It is never the only copy of anything: it can be deleted at any time and made
-- again (`capivara index rebuild`) with equal content. Every table has a natural
-- key and no rowid, so the content does not depend on the order in which parts were
-- taken in. `runs` alone is not deterministic and not part of `capivara index dump`.
--
-- Opening it without Capivara: after `capivara index finish` (or any run that ended
-- well) no -wal file is needed, and  file:index.sqlite?immutable=1  works on
-- read-only and network file systems.
--
-- The build turns this file into a C string (comments removed, at most 4095 bytes).

PRAGMA page_size = 8192;
PRAGMA application_id = 0x43505641; -- "CPVA"
PRAGMA user_version = 1;            -- another version: it is thrown away and made again

-- One row per committed part: the highest revision that has a record.
CREATE TABLE parts(
  col TEXT NOT NULL,          -- "fetch", "shards/train"
  part INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  row_begin INTEGER NOT NULL, -- rows of the input: [row_begin, row_end)
  row_end INTEGER NOT NULL,
  settings BLOB NOT NULL,     -- SHA-256 of the pinned settings
  record BLOB NOT NULL,       -- SHA-256 of the record file
  sha256 BLOB NOT NULL,       -- of the shard file
  tar_sha256 BLOB NOT NULL,   -- of its tar, uncompressed
  bytes INTEGER NOT NULL,
  tar_bytes INTEGER NOT NULL,
  samples INTEGER NOT NULL,
  members INTEGER NOT NULL,
  frames INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  transient INTEGER NOT NULL, -- of these: may succeed another time
  PRIMARY KEY(col, part)
) WITHOUT ROWID;

-- What a part was made from.
CREATE TABLE inputs(
  col TEXT NOT NULL,
  part INTEGER NOT NULL,
  n INTEGER NOT NULL,
  name TEXT NOT NULL,         -- "rows" or a column
  sha256 BLOB NOT NULL,
  PRIMARY KEY(col, part, n)
) WITHOUT ROWID;

-- The zstd frames of a shard.
CREATE TABLE frames(
  col TEXT NOT NULL,
  part INTEGER NOT NULL,
  frame INTEGER NOT NULL,
  at INTEGER NOT NULL,        -- in the file
  size INTEGER NOT NULL,
  tar_at INTEGER NOT NULL,    -- in the uncompressed tar
  tar_size INTEGER NOT NULL,
  xxh32 INTEGER NOT NULL,     -- low half of XXH64 of the uncompressed bytes
  PRIMARY KEY(col, part, frame)
) WITHOUT ROWID;

-- Samples. Offsets count from the start of the frame and point at a member's content;
-- the columns of a member that the sample lacks are NULL.
CREATE TABLE samples(
  col TEXT NOT NULL,
  part INTEGER NOT NULL,
  pos INTEGER NOT NULL,       -- in the shard, from 0
  key TEXT NOT NULL,
  frame INTEGER NOT NULL,
  members INTEGER NOT NULL,
  json_at INTEGER, json_size INTEGER, json_crc INTEGER,
  image TEXT,                 -- "jpg", "png", "webp"
  image_at INTEGER, image_size INTEGER, image_crc INTEGER,
  PRIMARY KEY(col, part, pos)
) WITHOUT ROWID;
CREATE INDEX samples_key ON samples(key);

-- Rows that became no sample, and why.
CREATE TABLE failures(
  col TEXT NOT NULL,
  part INTEGER NOT NULL,
  n INTEGER NOT NULL,         -- within the part, from 0
  row INTEGER NOT NULL,
  key TEXT NOT NULL,
  status TEXT NOT NULL,
  transient INTEGER NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY(col, part, n)
) WITHOUT ROWID;

-- Similarities of captions and image, where there is one.
CREATE TABLE scores(
  col TEXT NOT NULL,          -- "score-pt"
  part INTEGER NOT NULL,
  pos INTEGER NOT NULL,
  n INTEGER NOT NULL,         -- originals first, then generated ones
  similarity REAL NOT NULL,
  PRIMARY KEY(col, part, pos, n)
) WITHOUT ROWID;

-- Columns at a glance.
CREATE VIEW columns AS
  SELECT col, count(*) AS parts, sum(samples) AS samples, sum(failed) AS failed,
         sum(bytes) AS bytes FROM parts GROUP BY col;

-- Statistics files as they are (times, rates): not deterministic.
CREATE TABLE runs(
  col TEXT NOT NULL,
  part INTEGER NOT NULL,
  stats TEXT NOT NULL,
  PRIMARY KEY(col, part)
) WITHOUT ROWID;
