-- What an agent is writing is kept with the event that it answers, and a press of stop is found by its thread. The release before
-- this one does not know the column and runs on beside it; what it leaves there goes with the row, after a day. There is no way down,
-- as in 00001.

-- +goose Up
ALTER TABLE inbox ADD COLUMN stream bytea NOT NULL DEFAULT ''; -- sealed; empty while nothing is written, and once it is done

CREATE INDEX inbox_stops ON inbox ((lane COLLATE "C")) WHERE type = 'agent_session_stopped';

UPDATE schema_state SET works_from = 5 WHERE id = 1;
