-- What an answer from the cache would have cost, in nano-USD.
ALTER TABLE entries ADD COLUMN saved BIGINT NOT NULL DEFAULT 0;
