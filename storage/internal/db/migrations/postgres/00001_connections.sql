-- Connections and install attempts. There is no way down: these tables hold people's installs, and a step back would
-- delete them. Times are microseconds since 1970 in UTC, 0 = none, so that they compare and sort alike on every
-- database. Nothing is NULL: NULLs count as different in a unique index.

-- +goose Up
CREATE TABLE connections (
    id                        text   NOT NULL PRIMARY KEY,
    app_id                    text   NOT NULL,
    enterprise_id             text   NOT NULL, -- '' outside Enterprise Grid
    team_id                   text   NOT NULL, -- '' for an organisation-wide install
    team_name                 text   NOT NULL,
    team_url                  text   NOT NULL,
    team_icon                 text   NOT NULL,
    enterprise_name           text   NOT NULL,
    bot_user_id               text   NOT NULL,
    bot_id                    text   NOT NULL,
    scopes                    text   NOT NULL, -- comma separated
    expires_at                bigint NOT NULL,
    webhook_channel           text   NOT NULL,
    webhook_channel_id        text   NOT NULL,
    webhook_configuration_url text   NOT NULL,
    installed_by              text   NOT NULL,
    installed_by_name         text   NOT NULL,
    renewed_by                text   NOT NULL,
    created_at                bigint NOT NULL,
    installed_at              bigint NOT NULL,
    renewed_at                bigint NOT NULL, -- of the newest consent
    installs                  bigint NOT NULL,
    state                     text   NOT NULL,
    reason                    text   NOT NULL,
    doubt_reason              text   NOT NULL, -- of a removal that Slack announced and has not confirmed
    doubt_at                  bigint NOT NULL,
    state_since               bigint NOT NULL,
    checked_at                bigint NOT NULL,
    last_event_at             bigint NOT NULL,
    token                     bytea  NOT NULL, -- sealed, like the next two; empty = none
    refresh_token             bytea  NOT NULL,
    webhook_url               bytea  NOT NULL,
    version                   bigint NOT NULL, -- counts writes
    CONSTRAINT connections_key_whole CHECK (app_id <> '' AND (enterprise_id <> '' OR team_id <> ''))
);

-- One connection for each key. It also serves lookups by app and organisation.
CREATE UNIQUE INDEX connections_key ON connections (app_id, enterprise_id, team_id);
-- A workspace is also found when its organisation changed.
CREATE INDEX connections_team ON connections (app_id, team_id);

CREATE TABLE install_attempts (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ref           text   NOT NULL,
    state_hash    bytea  NOT NULL,
    browser_hash  bytea  NOT NULL,
    answer_hash   bytea  NOT NULL, -- of what Slack sent the browser back with
    started_at    bigint NOT NULL,
    expires_at    bigint NOT NULL,
    returned_at   bigint NOT NULL, -- 0: the state was not consumed
    ended_at      bigint NOT NULL,
    team_hint     text   NOT NULL,
    bound_to      text   NOT NULL,
    outcome       text   NOT NULL,
    reason        text   NOT NULL,
    connection_id text   NOT NULL,
    team_id       text   NOT NULL,
    user_id       text   NOT NULL
);

CREATE UNIQUE INDEX install_attempts_state ON install_attempts (state_hash);
CREATE INDEX install_attempts_started ON install_attempts (started_at);
