-- One row for each call, refusals too. Times are seconds since the epoch, durations milliseconds, money nano-USD.
CREATE TABLE entries (
    id TEXT NOT NULL PRIMARY KEY,
    at DOUBLE PRECISION NOT NULL,
    request_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    principal TEXT NOT NULL,
    key_id TEXT NOT NULL,
    tier TEXT NOT NULL,
    address TEXT NOT NULL,
    surface TEXT NOT NULL,
    stream BOOLEAN NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    target TEXT NOT NULL,
    tries INTEGER NOT NULL,
    tokens_in BIGINT NOT NULL,
    tokens_out BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    estimated BOOLEAN NOT NULL,
    cost BIGINT,
    price TEXT NOT NULL,
    cache TEXT NOT NULL,
    first_ms DOUBLE PRECISION,
    total_ms DOUBLE PRECISION NOT NULL,
    status TEXT NOT NULL,
    finish TEXT NOT NULL,
    error TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX entries_at ON entries (at);
CREATE INDEX entries_principal ON entries (principal, at);
