-- Images and their renditions. The lifecycle of shared/src/catalog/lifecycle.rs, said again as constraints: a row that
-- breaks it cannot be written by any version of any binary.
--
-- Every table has the owner first, in its keys too: no row can belong to the image of another owner.

CREATE TABLE images (
    -- No foreign key: its check would lock the owner's row in every upload's transaction.
    owner           integer NOT NULL,
    id              uuid NOT NULL,              -- UUIDv7: sorts by the time of upload
    title           text NOT NULL CONSTRAINT images_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
    -- The title folded for search, and its single characters and pairs (catalog/search.rs).
    title_folded    text NOT NULL,
    title_grams     text[] NOT NULL,
    folding         smallint NOT NULL DEFAULT 1,    -- the version of the rules by which the title is folded
    status          text NOT NULL DEFAULT 'queued'
                    CONSTRAINT images_status_known
                    CHECK (status IN ('queued', 'processing', 'ready', 'failed', 'deleting')),
    recipe          jsonb NOT NULL,

    source_format           text NOT NULL,
    source_width            integer NOT NULL CHECK (source_width > 0),
    source_height           integer NOT NULL CHECK (source_height > 0),
    source_frames           integer NOT NULL CHECK (source_frames > 0),
    source_bytes            bigint NOT NULL CHECK (source_bytes > 0),
    source_sha256           bytea NOT NULL CHECK (octet_length(source_sha256) = 32),
    -- What the memory of a picture depends on beside its size, so that a worker knows it before it reads the file.
    source_scans            integer NOT NULL,   -- of a JPEG; 1 for other formats
    source_bits_per_pixel   integer NOT NULL,
    source_decoded_pixels   bigint NOT NULL,    -- of the largest frame, tile or strip

    attempts        integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    failure_code    text,
    failure_detail  text,
    placeholder     bytea,                      -- ThumbHash
    dominant_colour bytea CHECK (octet_length(dominant_colour) = 3),  -- sRGB: red, green, blue
    perceptual_hash bigint,                     -- dHash, 64 bits
    -- How often the periodic retry has requeued it after it had failed as `unavailable`. An operator's retry sets it to 0.
    revivals        integer NOT NULL DEFAULT 0,
    -- When it was first found to need more memory than any live worker has; null once a worker has room for it.
    too_large_since timestamptz,

    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,                -- the latest attempt's
    finished_at     timestamptz,                -- became ready or failed

    PRIMARY KEY (owner, id),
    CONSTRAINT images_failed_says_why
        CHECK ((status = 'failed') = (failure_code IS NOT NULL) OR status = 'deleting'),
    CONSTRAINT images_failure_is_whole CHECK ((failure_code IS NULL) = (failure_detail IS NULL)),
    CONSTRAINT images_ready_has_placeholder CHECK (status <> 'ready' OR placeholder IS NOT NULL),
    CONSTRAINT images_processing_has_begun CHECK (status <> 'processing' OR started_at IS NOT NULL),
    CONSTRAINT images_finished_has_time
        CHECK (status = 'deleting' OR (status IN ('ready', 'failed')) = (finished_at IS NOT NULL))
);

CREATE INDEX images_title_grams ON images USING gin (title_grams);
-- Lists of an owner by status, and across owners the images that are queued or being deleted.
CREATE INDEX images_status ON images (status, owner, id);
-- The images that the periodic retry may requeue, across owners, in the order of their upload.
CREATE INDEX images_unavailable ON images (id, owner) WHERE status = 'failed' AND failure_code = 'unavailable';

CREATE TABLE renditions (
    owner           integer NOT NULL,
    image_id        uuid NOT NULL,
    name            text NOT NULL,
    format          text NOT NULL,
    width           integer NOT NULL CHECK (width > 0),
    height          integer NOT NULL CHECK (height > 0),
    bytes           bigint NOT NULL CHECK (bytes > 0),
    sha256          bytea NOT NULL CHECK (octet_length(sha256) = 32),
    PRIMARY KEY (owner, image_id, name),
    FOREIGN KEY (owner, image_id) REFERENCES images ON DELETE CASCADE
);
