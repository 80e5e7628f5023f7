-- What bots remember of a workspace. The release before this one does not know the table and runs on beside it: what it does to a
-- connection the database does to these rows. There is no way down, as in 00001.

-- +goose Up
CREATE TABLE bot_values (
    app_id        text   NOT NULL, -- with the next two, whose it is and under which key
    team_id       text   NOT NULL, -- the organisation's id for what concerns none of its workspaces
    name          text COLLATE "C" NOT NULL,
    connection_id text   NOT NULL REFERENCES connections (id) ON DELETE CASCADE, -- the one that used it last
    value         bytea  NOT NULL, -- sealed
    expires_at    bigint NOT NULL, -- 0: never
    version       bigint NOT NULL, -- another number after each write
    PRIMARY KEY (app_id, team_id, name)
);

CREATE INDEX bot_values_connection ON bot_values (connection_id);
CREATE INDEX bot_values_expired ON bot_values (expires_at) WHERE expires_at > 0;

UPDATE schema_state SET works_from = 5 WHERE id = 1;
