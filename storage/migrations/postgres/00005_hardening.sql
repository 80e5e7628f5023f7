-- What an attack and a year of odd inputs taught. The release before this one names its columns and runs on beside it, so each new
-- one has a default. There is no way down, as in 00001.

-- +goose Up
ALTER TABLE inbox ADD COLUMN begun bigint NOT NULL DEFAULT 0; -- attempts without a word how they ended: what kills its process has some
CREATE INDEX inbox_suspect ON inbox (tag, id) WHERE state = 'ready' AND begun > 0;
