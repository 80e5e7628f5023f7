-- Where the trace of an event goes on, for the process that works it. The release before this one does not know the column and runs
-- on beside it: the trace ends where that takes over. There is no way down, as in 00001.

-- +goose Up
ALTER TABLE inbox ADD COLUMN trace text NOT NULL DEFAULT ''; -- a W3C traceparent; '' = nobody collects traces

UPDATE schema_state SET works_from = 5 WHERE id = 1;
