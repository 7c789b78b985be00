-- Answers of the Responses API that callers asked to be kept. Times are seconds since the epoch, the rest JSON.
CREATE TABLE responses (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    created DOUBLE PRECISION NOT NULL,
    expires DOUBLE PRECISION NOT NULL,
    size BIGINT NOT NULL,
    input TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX responses_created ON responses (tenant, created, id, size);

CREATE INDEX responses_expires ON responses (expires);

-- What an answer consists of, for callers who refer to a part of it.
CREATE TABLE response_items (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    response TEXT NOT NULL,
    item TEXT NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, response) REFERENCES responses (tenant, id) ON DELETE CASCADE
);

CREATE INDEX response_items_response ON response_items (tenant, response);
