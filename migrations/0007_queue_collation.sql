-- Names of the queue are compared byte by byte: nobody reads them in order, and every claim and every end compares ids,
-- which a language's rules make slower by a few percent (C.UTF-8) or by several times. Rebuilds the table's indexes.
ALTER TABLE apalis.jobs
    ALTER COLUMN id TYPE text COLLATE "C",
    ALTER COLUMN job_type TYPE text COLLATE "C",
    ALTER COLUMN lock_by TYPE text COLLATE "C",
    ALTER COLUMN lane TYPE text COLLATE "C",
    ALTER COLUMN idempotency_key TYPE text COLLATE "C";
