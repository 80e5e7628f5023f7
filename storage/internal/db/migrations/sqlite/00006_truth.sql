-- What is said is what is kept. The release before this one names its columns and runs on beside it, so each new one has a default.
-- There is no way down, as in 00001.

-- +goose Up
ALTER TABLE connections ADD COLUMN beginnings    text NOT NULL DEFAULT ''; -- when the state and each permission became what they are: retrying@…,-im:history@…
ALTER TABLE connections ADD COLUMN renewal_error text NOT NULL DEFAULT ''; -- what Slack said to the newest renewal that failed; counts while failing_since > 0

-- What came, for as long as it is needed: an event that is done is known for a day, and a payload beside it would keep its place on
-- the page for as long. A payload lies here or, from the release before, in inbox.payload. That release, still serving while this
-- migration is made, goes on in its own way: nobody else accepts events into its file. It can't work what lies here, and
-- doesn't start on this schema (works_from).
CREATE TABLE inbox_payloads (
    id      integer NOT NULL PRIMARY KEY REFERENCES inbox (id) ON DELETE CASCADE,
    payload blob    NOT NULL -- sealed
);

-- +goose StatementBegin
CREATE TRIGGER inbox_done AFTER UPDATE OF state ON inbox WHEN new.state = 'done'
BEGIN
    DELETE FROM inbox_payloads WHERE id = new.id;
END;
-- +goose StatementEnd

-- What programs know of the schema without knowing its migrations. Each migration sets works_from (docs/upgrading.md).
CREATE TABLE schema_state (
    id         integer NOT NULL PRIMARY KEY,
    works_from integer NOT NULL,           -- programs that need this schema version, or a newer one, can run on this schema
    probed_at  integer NOT NULL DEFAULT 0, -- written to see whether that is possible
    CONSTRAINT schema_state_one CHECK (id = 1)
);

INSERT INTO schema_state (id, works_from) VALUES (1, 6);
