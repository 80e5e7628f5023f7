-- What bots are to do at a time. The release before this one does not know the table and runs on beside it. An event of kind timer
-- that it takes from the inbox it puts back, and gives up after four attempts. This release takes it up again. There is no way down, as
-- in 00001.

-- +goose Up
CREATE TABLE timers (
    id            integer PRIMARY KEY,
    connection_id text NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    app_id        text NOT NULL,
    team_id       text NOT NULL, -- the workspace that it is about; the organisation's id for what concerns none of its workspaces
    name          text NOT NULL, -- the handler's
    timer_key     text NOT NULL, -- which of the handler's; '' for what recurs
    spec          text NOT NULL, -- how it recurs; '' = once
    slot          integer NOT NULL, -- the time that it is for
    due_at        integer NOT NULL, -- the slot, or somewhat later where many connections have the same
    parked        integer NOT NULL, -- 1: it is left alone until its connection can be used again
    last_event    text NOT NULL, -- the event of the slot before, in the inbox; '' = none
    payload       blob    NOT NULL  -- sealed; empty for what recurs
);

CREATE UNIQUE INDEX timers_named ON timers (connection_id, team_id, name, timer_key);

-- The work to do. The queries repeat this condition word for word.
CREATE INDEX timers_due ON timers (name, due_at) WHERE parked = 0;
CREATE INDEX timers_parked ON timers (connection_id) WHERE parked = 1;

UPDATE schema_state SET works_from = 6 WHERE id = 1;
