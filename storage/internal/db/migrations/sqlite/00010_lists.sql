-- What an operator notes on a connection, and lists that are read page by page. The release before this one names its columns and runs
-- on beside it. There is no way down, as in 00001.

-- +goose Up
ALTER TABLE connections ADD COLUMN operator_label text NOT NULL DEFAULT ''; -- people in Slack never see it

-- The order of lists, byte by byte, the same on every database.
CREATE INDEX connections_listed ON connections (team_name, id);

-- What is stored of a workspace's installs, for an export.
CREATE INDEX install_attempts_connection ON install_attempts (connection_id) WHERE connection_id <> '';

UPDATE schema_state SET works_from = 6 WHERE id = 1;
