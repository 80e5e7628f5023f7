-- The inbox: what Slack sent and was told "received" for. The release before this one does not know the table and runs on
-- beside it. There is no way down, as in 00001.

-- +goose Up
CREATE TABLE inbox (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app_id        text   NOT NULL, -- with the next, what Slack delivers once; kept for a day after the work is done
    event_id      text   NOT NULL,
    enterprise_id text   NOT NULL, -- whose connection it is for
    team_id       text   NOT NULL,
    kind          text   NOT NULL, -- events_api, slash_commands, interactive
    type          text   NOT NULL, -- of the event, or the handler's name
    lane          text   NOT NULL, -- the conversation, where order matters; '' = it does not
    state         text   NOT NULL,
    tag           bigint NOT NULL, -- the place in the queue: workspaces take turns
    visible_at    bigint NOT NULL, -- held: the lease ends; waiting: the next attempt
    attempt       bigint NOT NULL, -- how often it was handed out; who holds it names it with every write
    failures      bigint NOT NULL, -- how many of them count
    received_at   bigint NOT NULL,
    finished_at   bigint NOT NULL,
    said          text   NOT NULL, -- what earlier attempts posted, by its timestamps
    error         text   NOT NULL, -- of the last attempt
    payload       bytea  NOT NULL, -- sealed; empty once it is done
    CONSTRAINT inbox_state CHECK (state IN ('ready', 'held', 'waiting', 'queued', 'done', 'dead'))
);

CREATE UNIQUE INDEX inbox_event ON inbox (app_id, event_id);
CREATE INDEX inbox_ready ON inbox (tag, id) WHERE state = 'ready';
CREATE INDEX inbox_later ON inbox (visible_at) WHERE state IN ('held', 'waiting');
CREATE INDEX inbox_lane ON inbox (lane, id) WHERE lane <> '' AND state IN ('ready', 'held', 'waiting', 'queued');
CREATE UNIQUE INDEX inbox_turn ON inbox (lane) WHERE lane <> '' AND state IN ('ready', 'held', 'waiting'); -- one of a lane at a time
CREATE INDEX inbox_dead ON inbox (id) WHERE state = 'dead';

-- Most rows live for some milliseconds and are then updated twice: room on the page keeps the table from growing with it.
ALTER TABLE inbox SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.1);
