-- What an attack and a year of odd inputs taught. The release before this one names its columns and runs on beside it, so each new
-- one has a default. There is no way down, as in 00001.

-- +goose Up
ALTER TABLE inbox ADD COLUMN begun bigint NOT NULL DEFAULT 0; -- attempts without a word how they ended: what kills its process has some
CREATE INDEX inbox_suspect ON inbox (tag, id) WHERE state = 'ready' AND begun > 0;

-- What Slack closed for a time is further ahead than what is spent; a time that is further ahead than either was written by a
-- broken clock. What the release before this one closes counts as that: Slack says it again.
ALTER TABLE budgets ADD COLUMN closed_until bigint NOT NULL DEFAULT 0; -- by Slack; 0: it is not
