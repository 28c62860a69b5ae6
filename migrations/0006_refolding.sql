-- The images whose titles an older version has folded; empty but after a change of how titles are folded
-- (catalog/refold.rs). A version that changes it replaces this index by one with its own number.

CREATE INDEX images_unfolded ON images (owner, id) WHERE folding < 2;
