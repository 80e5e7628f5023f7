-- What a signed link asked for, kept with the attempt that began with it. The release before this one names its columns and
-- runs on beside it, so each new one has a default. There is no way down, as in 00001.

-- +goose Up
ALTER TABLE install_attempts
    ADD COLUMN link_hash   bytea NOT NULL DEFAULT '', -- of the link's nonce; the link itself is not kept
    ADD COLUMN wish_scopes text  NOT NULL DEFAULT '', -- '' = all that the app can use
    ADD COLUMN wish_back   text  NOT NULL DEFAULT '', -- the channel to come back to
    ADD COLUMN origin      text  NOT NULL DEFAULT ''; -- the address as the browser that started named it
