-- What an index of vectors has still to forget: passages, a list as JSON, or a whole collection where it is empty.
-- Nobody takes it up before `due` (epoch seconds): until then somebody else is at it.
CREATE TABLE index_forgetting (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    collection TEXT NOT NULL,
    passages TEXT NOT NULL,
    due DOUBLE PRECISION NOT NULL
);

CREATE INDEX index_forgetting_scope ON index_forgetting (tenant, collection);
