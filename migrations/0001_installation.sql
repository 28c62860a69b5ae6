-- The identity of this installation. Markers in the bucket and in staging repeat it (shared/src/installation), so that
-- a process notices when its database, bucket and staging do not belong together.

CREATE TABLE installation (
    only_row            boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id                  uuid NOT NULL DEFAULT gen_random_uuid(),
    epoch               integer NOT NULL DEFAULT 1 CHECK (epoch > 0),       -- advanced by `darkroom-api adopt`
    generation          bigint NOT NULL DEFAULT 1 CHECK (generation > 0),   -- advanced by the workers, before the markers
    stamp               uuid NOT NULL DEFAULT gen_random_uuid(),            -- random, renewed with the generation
    advanced_at         timestamptz NOT NULL DEFAULT now(),
    bucket_marker       uuid,           -- the random id in the bucket's marker; null: not marked yet
    staging_marker      uuid            -- the same of staging
);

INSERT INTO installation DEFAULT VALUES;

-- Which binaries may use this database: those with the migration of this number, or a newer one. A migration that only
-- adds leaves the floor as it is, so that old and new binaries run side by side during a deploy. A migration that removes
-- or changes what older binaries use raises it: UPDATE schema_floor SET migration = <the newest migration of the oldest
-- binary that still works>.

CREATE TABLE schema_floor (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    migration   bigint NOT NULL
);
INSERT INTO schema_floor (migration) VALUES (1);
