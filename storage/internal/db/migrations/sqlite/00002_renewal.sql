-- Renewal, background checks, history, and what acts for single people. The release before this one runs on beside it, so
-- what it writes without the new columns is right: 0 and '' are "never" and "none". There is no way down, as in 00001.

-- +goose Up
ALTER TABLE connections ADD COLUMN renew_at       integer NOT NULL DEFAULT 0; -- 0: never
ALTER TABLE connections ADD COLUMN lease_until    integer NOT NULL DEFAULT 0; -- one process is renewing the token until then
ALTER TABLE connections ADD COLUMN renew_tries    integer NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN failing_since  integer NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN rejections     integer NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN check_at       integer NOT NULL DEFAULT 0; -- 0: at once
ALTER TABLE connections ADD COLUMN notice_reason  text    NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN notice_at      integer NOT NULL DEFAULT 0; -- 0: nobody was told of trouble
ALTER TABLE connections ADD COLUMN notice_to      text    NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN notice_channel text    NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN notice_ts      text    NOT NULL DEFAULT '';

-- What rotates already is renewed four hours before its end, as it will be from now on.
UPDATE connections SET renew_at = expires_at - 14400000000
    WHERE expires_at > 14400000000 AND length(refresh_token) > 0 AND state <> 'removed';

-- The work to do, without the rows that have none. The queries repeat these conditions word for word, or the indexes would
-- not be used.
CREATE INDEX connections_due ON connections (renew_at)
    WHERE renew_at > 0 AND state <> 'removed' AND state <> 'paused';
CREATE INDEX connections_long_lived ON connections (id)
    WHERE renew_at = 0 AND expires_at = 0 AND length(token) > 0 AND length(refresh_token) = 0 AND state IN ('active', 'retrying');
CREATE INDEX connections_unchecked ON connections (check_at)
    WHERE length(token) > 0 AND state <> 'removed' AND state <> 'paused';
CREATE INDEX connections_untold ON connections (state_since)
    WHERE state = 'reconnect_required' AND notice_at = 0 OR state = 'active' AND notice_at > 0;
CREATE INDEX connections_removed ON connections (state_since) WHERE state = 'removed';

-- Tokens that act for one person. They hang on a connection and go with it.
CREATE TABLE user_tokens (
    connection_id text    NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    user_id       text    NOT NULL,
    app_id        text    NOT NULL, -- the connection's key: what is sealed is bound to it
    enterprise_id text    NOT NULL,
    team_id       text    NOT NULL,
    scopes        text    NOT NULL, -- comma separated
    token         blob    NOT NULL, -- sealed, like the next; empty = none
    refresh_token blob    NOT NULL,
    expires_at    integer NOT NULL,
    renew_at      integer NOT NULL,
    lease_until   integer NOT NULL,
    renew_tries   integer NOT NULL,
    failing_since integer NOT NULL,
    rejections    integer NOT NULL,
    reason        text    NOT NULL, -- why it needs the person again; '' when all is well
    granted_at    integer NOT NULL,
    version       integer NOT NULL, -- counts writes
    PRIMARY KEY (connection_id, user_id),
    CONSTRAINT user_tokens_user CHECK (user_id <> '')
);

CREATE UNIQUE INDEX user_tokens_key ON user_tokens (app_id, enterprise_id, team_id, user_id);
CREATE INDEX user_tokens_due ON user_tokens (renew_at) WHERE renew_at > 0;

-- What happened, one line for each change. Lines are never changed.
CREATE TABLE connection_history (
    id            integer PRIMARY KEY AUTOINCREMENT NOT NULL,
    connection_id text    NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    at            integer NOT NULL,
    actor         text    NOT NULL,
    actor_id      text    NOT NULL,
    what          text    NOT NULL,
    outcome       text    NOT NULL,
    reason        text    NOT NULL
);

CREATE INDEX connection_history_connection ON connection_history (connection_id, id);
-- Routine is swept after a while.
CREATE INDEX connection_history_routine ON connection_history (at) WHERE what = 'renew' AND outcome = 'done';

-- Calls that all processes may make together.
CREATE TABLE budgets (
    name    text    NOT NULL PRIMARY KEY,
    free_at integer NOT NULL -- when the budget would be full again
);
