-- Images and their renditions. The lifecycle of shared/src/catalog/lifecycle.rs, said again as constraints: a row that
-- breaks it cannot be written by any version of any binary.
--
-- Every table has the owner first, in its keys too: no row can belong to the image of another owner.

-- What an upload said of an image. Rendering changes none of it, so that it never rewrites the index of the titles.
CREATE TABLE images (
    -- No foreign key: its check would lock the owner's row in every upload's transaction.
    owner           integer NOT NULL,
    id              uuid NOT NULL,              -- UUIDv7: sorts by the time of upload
    title           text NOT NULL CONSTRAINT images_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
    -- The title folded for search. Compared and sorted by code point, whatever the locale of the database is.
    title_folded    text NOT NULL COLLATE "C",
    tags            text[] NOT NULL DEFAULT '{}' CONSTRAINT images_tags_bounded CHECK (cardinality(tags) <= 32),
    -- `json` keeps the text as it was written, so that filters compare what was hashed.
    metadata        json NOT NULL DEFAULT '{}' CONSTRAINT images_metadata_is_object CHECK (json_typeof(metadata) = 'object'),
    -- The hashes of the title's n-grams, of the tags, the metadata and the format (catalog/search_index.rs).
    terms           bigint[] NOT NULL,
    folding         smallint NOT NULL,          -- the version of the rules by which the title is folded and hashed
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

    created_at      timestamptz NOT NULL DEFAULT now(),
    -- Also the list of an owner, newest first.
    PRIMARY KEY (owner, id)
);

-- The search. Entries that are not sorted in yet are read by every search, so they are few.
CREATE INDEX images_terms ON images USING gin (terms) WITH (gin_pending_list_limit = 256);
-- The list by title. Only the beginning of a title, because an entry of an index has at most 2704 bytes.
CREATE INDEX images_title ON images (owner, left(title_folded, 64), id);

-- What becomes of an image.
CREATE TABLE image_states (
    owner           integer NOT NULL,
    id              uuid NOT NULL,
    status          text NOT NULL DEFAULT 'queued'
                    CONSTRAINT image_states_status_known
                    CHECK (status IN ('queued', 'processing', 'ready', 'failed', 'deleting')),
    -- Advanced by every change that clients see. Here, so that a change of the status writes one row.
    version         integer NOT NULL DEFAULT 1,
    attempts        integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- How often the periodic retry has requeued it after it had failed as `unavailable`. An operator's retry sets it to 0.
    revivals        integer NOT NULL DEFAULT 0,
    failure_code    text,
    failure_detail  text,
    placeholder     bytea,                      -- ThumbHash
    dominant_colour bytea CHECK (octet_length(dominant_colour) = 3),  -- sRGB: red, green, blue
    perceptual_hash bigint,                     -- dHash, 64 bits
    started_at      timestamptz,                -- the latest attempt's
    finished_at     timestamptz,                -- became ready or failed
    -- When it was first found to need more memory than any live worker has; null once a worker has room for it.
    too_large_since timestamptz,

    PRIMARY KEY (owner, id),
    FOREIGN KEY (owner, id) REFERENCES images ON DELETE CASCADE,
    CONSTRAINT image_states_failed_says_why
        CHECK ((status = 'failed') = (failure_code IS NOT NULL) OR status = 'deleting'),
    CONSTRAINT image_states_failure_is_whole CHECK ((failure_code IS NULL) = (failure_detail IS NULL)),
    CONSTRAINT image_states_ready_has_placeholder CHECK (status <> 'ready' OR placeholder IS NOT NULL),
    CONSTRAINT image_states_processing_has_begun CHECK (status <> 'processing' OR started_at IS NOT NULL),
    CONSTRAINT image_states_finished_has_time
        CHECK (status = 'deleting' OR (status IN ('ready', 'failed')) = (finished_at IS NOT NULL))
) WITH (
    -- Every image is three row versions. Vacuum must keep up whatever the size of the table.
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02
);

-- The list of an owner by status; across owners, the images that are queued and those that are being deleted.
CREATE INDEX image_states_status ON image_states (status, owner, id);
-- The images that the periodic retry may requeue, across owners, in the order of their upload. Nearly always empty.
CREATE INDEX image_states_unavailable ON image_states (id, owner)
    WHERE status = 'failed' AND failure_code = 'unavailable';

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

-- The attempts that may store objects of an image. A row is there before the first object is stored, and until the attempt
-- has ended and each of its objects is a rendition or removed. What is left is of attempts that died; the sweep looks
-- at their images only. No foreign key: a row outlives its image.
CREATE TABLE put_intents (
    owner           integer NOT NULL,
    image_id        uuid NOT NULL,
    attempt         uuid NOT NULL,
    since           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, image_id, attempt)
);
