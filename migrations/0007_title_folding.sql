-- How far the titles of stored images are folded by the current rules (catalog::refold_titles). The worker's periodic job
-- `refold-titles` advances it in batches; a binary with a newer version begins anew.

CREATE TABLE title_folding (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version         smallint NOT NULL DEFAULT 1,
    folded_until    uuid            -- the last image whose title this version has folded; null: none
);

INSERT INTO title_folding DEFAULT VALUES;
