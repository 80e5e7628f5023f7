-- What an attack and a year of odd inputs taught. The release before this one names its columns and runs on beside it, so each new
-- one has a default. There is no way down, as in 00001.

-- +goose Up
ALTER TABLE inbox ADD COLUMN begun integer NOT NULL DEFAULT 0; -- attempts without a word how they ended: what kills its process has some
CREATE INDEX inbox_suspect ON inbox (tag, id) WHERE state = 'ready' AND begun > 0;

-- What Slack closed for a time is further ahead than what is spent; a time that is further ahead than either was written by a
-- broken clock. What the release before this one closes counts as that: Slack says it again.
ALTER TABLE budgets ADD COLUMN closed_until integer NOT NULL DEFAULT 0; -- by Slack; 0: it is not

-- Which pair of tokens a row holds, to be compared with what the journals of the replicas have. The release before renews
-- without raising the generation, and consents without a new grant_id: so a grant is named by granted_at or renewed_at as well.
ALTER TABLE connections ADD COLUMN generation integer NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN grant_id   text    NOT NULL DEFAULT '';
ALTER TABLE user_tokens ADD COLUMN generation integer NOT NULL DEFAULT 0;
ALTER TABLE user_tokens ADD COLUMN grant_id   text    NOT NULL DEFAULT '';

-- What every replica looks for all the time. The queries repeat these conditions word for word.
CREATE INDEX connections_rejected ON connections (renew_at) WHERE rejections > 0 AND renew_at > 0;
CREATE INDEX user_tokens_rejected ON user_tokens (renew_at) WHERE rejections > 0 AND renew_at > 0;
CREATE INDEX connections_erased ON connections (state_since) WHERE length(token) = 0;
CREATE INDEX connection_history_revoked ON connection_history (at) WHERE what = 'user_revoke';

-- The minutes in which Slack held back events of a workspace (app_rate_limited), for its status; 0: none.
ALTER TABLE connections ADD COLUMN events_held_since integer NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN events_held_at integer NOT NULL DEFAULT 0;

-- Rows with a refresh token and no time to spend it were never renewed ahead; most were brought from elsewhere. Four hours before the
-- end, or right away where no end is known. What Slack has refused for good stays as it is.
UPDATE connections SET renew_at = CASE WHEN expires_at > 14400000000 THEN expires_at - 14400000000 ELSE 1 END
    WHERE renew_at = 0 AND rejections < 2 AND length(refresh_token) > 0 AND state <> 'removed';
UPDATE user_tokens SET renew_at = CASE WHEN expires_at > 14400000000 THEN expires_at - 14400000000 ELSE 1 END
    WHERE renew_at = 0 AND rejections < 2 AND length(refresh_token) > 0;
