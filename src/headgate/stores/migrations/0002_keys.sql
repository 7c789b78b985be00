-- Times are seconds since the epoch, digests lower-case hex, lists JSON.
CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    prefix TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    previous TEXT NOT NULL,
    previous_until DOUBLE PRECISION NOT NULL,
    owner TEXT NOT NULL,
    tier TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    models TEXT,
    limits TEXT NOT NULL,
    created DOUBLE PRECISION NOT NULL,
    expires DOUBLE PRECISION,
    revoked DOUBLE PRECISION,
    version BIGINT NOT NULL
);

CREATE INDEX api_keys_owner ON api_keys (owner);

CREATE INDEX api_keys_version ON api_keys (version);

-- One row. Every change takes its lock first, so that versions are committed in order.
CREATE TABLE api_keys_clock (
    version BIGINT NOT NULL
);

INSERT INTO api_keys_clock (version) VALUES (0);
