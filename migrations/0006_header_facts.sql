-- What the memory of a picture depends on beside its size, from the header of its file, so that a worker knows it before it
-- reads the file. Null for images accepted by a version without these columns.

ALTER TABLE images
    ADD COLUMN source_scans integer,            -- of a JPEG; 1 for other formats
    ADD COLUMN source_bits_per_pixel integer,
    ADD COLUMN source_decoded_pixels bigint;    -- of the largest frame, tile or strip
