-- What owners may use, what they use, and the answers to requests that may be sent again.

-- Limits of single owners. A null has the value of the setting; 0 is no limit.
CREATE TABLE owner_limits (
    owner                   integer PRIMARY KEY,
    requests_per_second     bigint CHECK (requests_per_second >= 0),    -- of each key
    bytes_per_hour          bigint CHECK (bytes_per_hour >= 0),
    pending_images          bigint CHECK (pending_images >= 0),
    stored_images           bigint CHECK (stored_images >= 0),
    stored_bytes            bigint CHECK (stored_bytes >= 0),
    renditions_per_image    bigint CHECK (renditions_per_image >= 0)
);

-- The images of each owner, and the bytes of their files and renditions. Lags behind by the rows of usage_changes.
CREATE TABLE owner_usage (
    owner       integer PRIMARY KEY,
    images      bigint NOT NULL,
    bytes       bigint NOT NULL
);

-- What transactions have added and removed since. They insert rows and update none, so that uploads of one owner do not wait
-- for each other; the api adds the rows to owner_usage once a second and deletes them.
CREATE TABLE usage_changes (
    owner       integer NOT NULL,
    images      bigint NOT NULL,
    bytes       bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE FUNCTION count_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_changes (owner, images, bytes)
        SELECT owner, sign * count(*), sign * sum(source_bytes)
        FROM changed, (SELECT CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END AS sign) AS direction GROUP BY owner, sign;
    RETURN NULL;
END $$;
CREATE TRIGGER count_inserted AFTER INSERT ON images
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_images();
CREATE TRIGGER count_deleted AFTER DELETE ON images
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_images();

CREATE FUNCTION count_renditions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_changes (owner, images, bytes)
        SELECT owner, 0, sign * sum(bytes)
        FROM changed, (SELECT CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END AS sign) AS direction GROUP BY owner, sign;
    RETURN NULL;
END $$;
CREATE TRIGGER count_inserted AFTER INSERT ON renditions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_renditions();
CREATE TRIGGER count_deleted AFTER DELETE ON renditions
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_renditions();

-- Bytes that owners have sent in an hour. Unlogged, as the next table: after a crash of Postgres the hour begins anew.
CREATE UNLOGGED TABLE bytes_in (
    hour        timestamptz NOT NULL,
    owner       integer NOT NULL,
    bytes       bigint NOT NULL,
    PRIMARY KEY (hour, owner)
);

-- The processes that serve the api, which share the limits of requests.
CREATE UNLOGGED TABLE api_processes (
    id          uuid PRIMARY KEY,
    seen_at     timestamptz NOT NULL DEFAULT now()
);

-- The successful answers to requests with an Idempotency-Key, written in the transaction of what the request created.
CREATE TABLE idempotency_keys (
    owner       integer NOT NULL,
    key         text COLLATE "C" NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),  -- SHA-256 of the request
    answer      text NOT NULL,                                          -- the body of the response, JSON
    location    text NOT NULL,                                          -- the header of the response
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
