-- System prompts by name; a change is a new version, the newest one is in force.
CREATE TABLE prompts (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    text TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
