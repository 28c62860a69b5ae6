-- Images and their renditions. The lifecycle of shared/src/image.rs, said again as constraints: a row that breaks it
-- cannot be written by any version of any binary.

CREATE TABLE images (
    id              uuid PRIMARY KEY,           -- UUIDv7: sorts by the time of upload
    title           text NOT NULL CONSTRAINT images_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
    -- The title folded for search, and its single characters and pairs (image::fold, image::grams).
    title_folded    text NOT NULL,
    title_grams     text[] NOT NULL,
    status          text NOT NULL DEFAULT 'queued'
                    CONSTRAINT images_status_known
                    CHECK (status IN ('queued', 'processing', 'ready', 'failed', 'deleting')),
    recipe          jsonb NOT NULL,

    source_format   text NOT NULL,
    source_width    integer NOT NULL CHECK (source_width > 0),
    source_height   integer NOT NULL CHECK (source_height > 0),
    source_frames   integer NOT NULL CHECK (source_frames > 0),
    source_bytes    bigint NOT NULL CHECK (source_bytes > 0),
    source_sha256   bytea NOT NULL CHECK (octet_length(source_sha256) = 32),

    attempts        integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    failure_code    text,
    failure_detail  text,
    placeholder     bytea,                      -- ThumbHash

    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,                -- the latest attempt's
    finished_at     timestamptz,                -- became ready or failed

    CONSTRAINT images_failed_says_why
        CHECK ((status = 'failed') = (failure_code IS NOT NULL) OR status = 'deleting'),
    CONSTRAINT images_failure_is_whole CHECK ((failure_code IS NULL) = (failure_detail IS NULL)),
    CONSTRAINT images_ready_has_placeholder CHECK (status <> 'ready' OR placeholder IS NOT NULL),
    CONSTRAINT images_processing_has_begun CHECK (status <> 'processing' OR started_at IS NOT NULL),
    CONSTRAINT images_finished_has_time
        CHECK (status = 'deleting' OR (status IN ('ready', 'failed')) = (finished_at IS NOT NULL))
);

CREATE INDEX images_title_grams ON images USING gin (title_grams);
CREATE INDEX images_status_id ON images (status, id DESC);

CREATE TABLE renditions (
    image_id        uuid NOT NULL REFERENCES images ON DELETE CASCADE,
    name            text NOT NULL,
    format          text NOT NULL,
    width           integer NOT NULL CHECK (width > 0),
    height          integer NOT NULL CHECK (height > 0),
    bytes           bigint NOT NULL CHECK (bytes > 0),
    sha256          bytea NOT NULL CHECK (octet_length(sha256) = 32),
    PRIMARY KEY (image_id, name)
);
