"""The tables of one collection's file, which is SQLite's alone: full text, passages and vectors under one transaction.

`documents` are what is found, `drafts` what waits to take its place, the failed ones too: their time never comes.
The full text keeps no text of its own: `lexicon_rows` is what it was made of, and what it is told when a row goes.
"""

from __future__ import annotations

NEVER = 1e18
"""The time of a draft that nobody takes: it failed."""

SCHEMA = """
CREATE TABLE about (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    created REAL NOT NULL,
    documents INTEGER NOT NULL DEFAULT 0,
    passages INTEGER NOT NULL DEFAULT 0,
    size INTEGER NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE documents (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    media TEXT NOT NULL,
    metadata TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    state TEXT NOT NULL,
    error TEXT NOT NULL,
    chunks INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL
);
CREATE TABLE texts (number INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE drafts (
    number INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    media TEXT NOT NULL,
    metadata TEXT NOT NULL,
    who BLOB NOT NULL,
    token TEXT NOT NULL,
    due REAL NOT NULL,
    tries INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX drafts_due ON drafts (due);
CREATE TABLE facets (
    key TEXT NOT NULL, value TEXT NOT NULL, document INTEGER NOT NULL, PRIMARY KEY (key, value, document)
) WITHOUT ROWID;
CREATE INDEX facets_document ON facets (document);
CREATE TABLE passages (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    document INTEGER NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    path TEXT NOT NULL,
    text TEXT NOT NULL,
    words TEXT NOT NULL
);
CREATE INDEX passages_document ON passages (document);
CREATE TABLE vectors (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    passage INTEGER NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    scale REAL NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX vectors_digest ON vectors (digest);
CREATE VIEW lexicon_rows AS
    SELECT passages.number AS number, documents.title AS title, passages.text AS text, passages.words AS words
    FROM passages JOIN documents ON documents.number = passages.document;
CREATE VIRTUAL TABLE lexicon USING fts5(
    title, text, words, content = 'lexicon_rows', content_rowid = 'number', tokenize = 'porter unicode61'
);
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(lexicon, row);
"""
