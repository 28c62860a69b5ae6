-- What the worker remembers of an image between its jobs. Without CHECK constraints, whose validation would read the
-- whole table under an exclusive lock.

ALTER TABLE images
    -- How often the periodic retry has requeued it after it had failed as `unavailable`. An operator's retry sets it to 0.
    ADD COLUMN revivals integer NOT NULL DEFAULT 0,
    -- When it was first found to need more memory than any live worker has; null once a worker has room for it.
    ADD COLUMN too_large_since timestamptz;
