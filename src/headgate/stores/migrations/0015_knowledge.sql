-- Documents and passages, where the database is a server; SQLite has a file for each collection, and leaves these empty.
-- Numbers are drawn by lot. `drafts` is what waits to take a document's place; `due` is when somebody may take it up.
CREATE TABLE knowledge_collections (
    number BIGINT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    created DOUBLE PRECISION NOT NULL,
    documents BIGINT NOT NULL,
    passages BIGINT NOT NULL,
    size BIGINT NOT NULL,
    length BIGINT NOT NULL,
    UNIQUE (tenant, name)
);

CREATE TABLE knowledge_documents (
    number BIGINT NOT NULL PRIMARY KEY,
    collection BIGINT NOT NULL,
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    media TEXT NOT NULL,
    metadata TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    state TEXT NOT NULL,
    error TEXT NOT NULL,
    chunks INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created DOUBLE PRECISION NOT NULL,
    updated DOUBLE PRECISION NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (collection, id)
);

CREATE TABLE knowledge_drafts (
    number BIGINT NOT NULL PRIMARY KEY,
    collection BIGINT NOT NULL,
    title TEXT NOT NULL,
    media TEXT NOT NULL,
    metadata TEXT NOT NULL,
    who BLOB NOT NULL,
    token TEXT NOT NULL,
    due DOUBLE PRECISION NOT NULL,
    tries INTEGER NOT NULL,
    body BLOB NOT NULL
);

CREATE INDEX knowledge_drafts_due ON knowledge_drafts (due);

CREATE INDEX knowledge_drafts_collection ON knowledge_drafts (collection);

CREATE TABLE knowledge_facets (
    collection BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    document BIGINT NOT NULL,
    PRIMARY KEY (collection, key, value, document)
) WITHOUT ROWID;

CREATE INDEX knowledge_facets_document ON knowledge_facets (document);

-- `length` is the number of words; `scale` and `data` are the vector, if there is one, and `digest` what it is made of.
CREATE TABLE knowledge_passages (
    number BIGINT NOT NULL PRIMARY KEY,
    collection BIGINT NOT NULL,
    document BIGINT NOT NULL,
    id TEXT NOT NULL,
    start_at INTEGER NOT NULL,
    stop_at INTEGER NOT NULL,
    path TEXT NOT NULL,
    text TEXT NOT NULL,
    words TEXT NOT NULL,
    length INTEGER NOT NULL,
    digest TEXT NOT NULL,
    scale DOUBLE PRECISION,
    data BLOB,
    UNIQUE (collection, id)
);

CREATE INDEX knowledge_passages_document ON knowledge_passages (document);

CREATE INDEX knowledge_passages_digest ON knowledge_passages (collection, digest);

-- Which passages have a stem, how often (the title's weigh double, parts of identifiers half), and their length again.
CREATE TABLE knowledge_postings (
    collection BIGINT NOT NULL,
    term TEXT NOT NULL,
    passage BIGINT NOT NULL,
    weight REAL NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (collection, term, passage)
) WITHOUT ROWID;

CREATE INDEX knowledge_postings_passage ON knowledge_postings (passage);
