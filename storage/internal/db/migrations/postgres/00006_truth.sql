-- What is said is what is kept. The release before this one names its columns and runs on beside it, so each new one has a default.
-- There is no way down, as in 00001.
--
-- Payloads stay in inbox.payload here, where the replicas of the release before find them and put theirs. On SQLite, where one
-- program alone works the inbox, they have a table of their own.

-- +goose Up
ALTER TABLE connections
    ADD COLUMN beginnings    text NOT NULL DEFAULT '', -- when the state and each permission became what they are: retrying@…,-im:history@…
    ADD COLUMN renewal_error text NOT NULL DEFAULT ''; -- what Slack said to the newest renewal that failed; counts while failing_since > 0

-- What programs know of the schema without knowing its migrations. Each migration sets works_from (docs/upgrading.md).
CREATE TABLE schema_state (
    id         bigint NOT NULL PRIMARY KEY,
    works_from bigint NOT NULL,           -- programs that need this schema version, or a newer one, can run on this schema
    probed_at  bigint NOT NULL DEFAULT 0, -- written to see whether that is possible
    CONSTRAINT schema_state_one CHECK (id = 1)
);

INSERT INTO schema_state (id, works_from) VALUES (1, 5);
