-- Which binaries may use this database: those with the migration of this number, or a newer one. A migration that only
-- adds leaves the floor as it is, so that old and new binaries run side by side during a deploy. A migration that removes
-- or changes what older binaries use raises it: UPDATE schema_floor SET migration = <the newest migration of the oldest
-- binary that still works>.

CREATE TABLE schema_floor (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    migration   bigint NOT NULL
);
INSERT INTO schema_floor (migration) VALUES (1);
