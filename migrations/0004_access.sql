-- The API keys of owners, and the audit log (shared/src/access).

-- Keys, and upload tokens, which are short-lived keys that only upload. A key is never deleted: the audit log names it, and
-- without any the api would need no key again. An upload token is, a day after its end.
CREATE TABLE api_keys (
    id              uuid PRIMARY KEY,           -- UUIDv7: sorts by the time of creation
    owner           integer NOT NULL REFERENCES owners,
    kind            text NOT NULL DEFAULT 'key' CONSTRAINT api_keys_kind_known CHECK (kind IN ('key', 'upload')),
    name            text NOT NULL CONSTRAINT api_keys_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
    -- SHA-256 of the key. The key has 128 random bits, so that nobody can guess it from its hash.
    digest          bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    prefix          text NOT NULL,              -- the beginning of the key, by which people recognise it
    -- The key before the last rotation, which works until then.
    previous_digest bytea UNIQUE CHECK (octet_length(previous_digest) = 32),
    previous_until  timestamptz,
    scopes          text[] NOT NULL
                    CONSTRAINT api_keys_scopes_known
                    CHECK ((cardinality(scopes) > 0) = (kind = 'key') AND scopes <@ ARRAY['read', 'write', 'admin']),
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz,                -- null: never
    revoked_at      timestamptz,
    last_used_at    timestamptz,                -- written at most once a minute

    -- Of upload tokens alone.
    made_by         uuid,                       -- the key that made it, and with which it is revoked
    uses_left       integer CHECK (uses_left >= 0),
    max_bytes       bigint CHECK (max_bytes > 0),   -- of a file
    fields          text[],                     -- the form fields that it allows besides the file; null: all
    origin          text,                       -- the origin of the page that may use it; null: any client

    CONSTRAINT api_keys_previous_is_whole CHECK ((previous_digest IS NULL) = (previous_until IS NULL)),
    CONSTRAINT api_keys_upload_token_is_limited
        CHECK (CASE WHEN kind = 'upload' THEN uses_left IS NOT NULL AND expires_at IS NOT NULL
                    ELSE num_nonnulls(made_by, uses_left, max_bytes, fields, origin) = 0 END)
);

CREATE INDEX api_keys_owner_id ON api_keys (owner, id DESC) WHERE kind = 'key';
CREATE INDEX api_keys_upload_expiry ON api_keys (expires_at) WHERE kind = 'upload';

-- Who did what administrative. Written in the transaction that does it; removed by age.
CREATE TABLE audit (
    id          uuid PRIMARY KEY,               -- UUIDv7: sorts by time
    owner       integer NOT NULL REFERENCES owners,
    at          timestamptz NOT NULL DEFAULT now(),
    action      text NOT NULL,
    actor       text NOT NULL CHECK (actor IN ('key', 'operator', 'anonymous')),
    actor_key   uuid CHECK ((actor_key IS NOT NULL) = (actor = 'key')),
    subject     uuid,                           -- the key that was changed
    detail      text NOT NULL,                  -- for people
    address     text,                           -- the client's IP address; null: the command line
    request_id  text                            -- null: the command line
);

CREATE INDEX audit_owner_id ON audit (owner, id DESC);
