-- The queue's own indexes and settings over apalis.jobs.
SELECT 1;
