-- What rendering teaches of an image, beside its placeholder. Null for images that are not ready, and for those that were
-- rendered before there was a place for it.

ALTER TABLE images
    ADD COLUMN dominant_colour bytea CHECK (octet_length(dominant_colour) = 3),  -- sRGB: red, green, blue
    ADD COLUMN perceptual_hash bigint;                                           -- dHash, 64 bits
