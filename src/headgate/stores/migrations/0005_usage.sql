-- Sums of the ledger by the hour and by the UTC day, kept with every insert; `start` is the period's first second.
CREATE TABLE usage_hours (
    start BIGINT NOT NULL,
    kind TEXT NOT NULL,
    principal TEXT NOT NULL,
    key_id TEXT NOT NULL,
    tier TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    status TEXT NOT NULL,
    requests BIGINT NOT NULL,
    tokens_in BIGINT NOT NULL,
    tokens_out BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    PRIMARY KEY (start, kind, principal, key_id, tier, model, provider, status)
) WITHOUT ROWID;

CREATE TABLE usage_days (
    start BIGINT NOT NULL,
    kind TEXT NOT NULL,
    principal TEXT NOT NULL,
    key_id TEXT NOT NULL,
    tier TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    status TEXT NOT NULL,
    requests BIGINT NOT NULL,
    tokens_in BIGINT NOT NULL,
    tokens_out BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    PRIMARY KEY (start, kind, principal, key_id, tier, model, provider, status)
) WITHOUT ROWID;

CREATE INDEX usage_days_principal ON usage_days (principal, start);

-- A cast rounds down in one database and to the nearest in the other.
INSERT INTO usage_hours
SELECT
    (CAST(at AS BIGINT) - CASE WHEN CAST(at AS BIGINT) > at THEN 1 ELSE 0 END) / 3600 * 3600,
    kind, principal, key_id, tier, model, provider, status,
    COUNT(*), SUM(tokens_in), SUM(tokens_out), SUM(cached), COALESCE(SUM(cost), 0),
    SUM(CASE WHEN cost IS NULL AND tokens_in + tokens_out > 0 THEN 1 ELSE 0 END)
FROM entries
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

INSERT INTO usage_days
SELECT
    start / 86400 * 86400, kind, principal, key_id, tier, model, provider, status,
    SUM(requests), SUM(tokens_in), SUM(tokens_out), SUM(cached), SUM(cost), SUM(unpriced)
FROM usage_hours
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

-- Usage is read from the sums, and this index was the dearest part of writing a row.
DROP INDEX entries_principal;
