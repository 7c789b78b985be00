-- Calls that came with an Idempotency-Key. `status` is 0 while the call is made, which `holder` does until `expires`
-- (epoch seconds), and then the status of the kept answer, or -1 for one that was too large. `headers` are lines.
CREATE TABLE idempotency (
    scope TEXT NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    holder TEXT NOT NULL,
    expires DOUBLE PRECISION NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (scope, route, key)
);

CREATE INDEX idempotency_expires ON idempotency (expires);

CREATE INDEX idempotency_holder ON idempotency (holder, status);
