-- What clients say of an image beside its title, and the version of what they see.

ALTER TABLE images
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}' CONSTRAINT images_tags_bounded CHECK (cardinality(tags) <= 32),
    -- `json` keeps the text as it was written, so that filters compare what was hashed.
    ADD COLUMN metadata json NOT NULL DEFAULT '{}' CONSTRAINT images_metadata_is_object CHECK (json_typeof(metadata) = 'object'),
    -- Titles are compared and sorted by code point, whatever the locale of the database is.
    ALTER COLUMN title_folded TYPE text COLLATE "C";

-- The hashes are now of tags, metadata and the format too (catalog/search_index.rs).
ALTER TABLE images RENAME COLUMN title_grams TO terms;
ALTER INDEX images_title_grams RENAME TO images_terms;
DROP INDEX images_unfolded;
CREATE INDEX images_unfolded ON images (owner, id) WHERE folding < 2;

-- The list by title. Only the beginning of a title, because an entry of an index has at most 2704 bytes.
CREATE INDEX images_title ON images (owner, left(title_folded, 64), id);

-- Advanced by every change that clients see. Here, so that a change of the status writes one row.
ALTER TABLE image_states ADD COLUMN version integer NOT NULL DEFAULT 1;

UPDATE schema_floor SET migration = 8;
