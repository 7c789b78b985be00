-- Tokens that counted under limits: not those of answers from the cache, which were none before this version.
ALTER TABLE usage_hours ADD COLUMN metered BIGINT NOT NULL DEFAULT 0;

ALTER TABLE usage_days ADD COLUMN metered BIGINT NOT NULL DEFAULT 0;

UPDATE usage_hours SET metered = tokens_in + tokens_out;

UPDATE usage_days SET metered = tokens_in + tokens_out;
