-- An attempt that has announced that it only waits: the death of its worker is not counted as a crash of the job, and a
-- worker with room may take the job over.

ALTER TABLE apalis.jobs
    -- The fencing token of the last attempt that announced it. Equal to `fence` of a Running job: it still only waits.
    ADD COLUMN idle_fence integer;
