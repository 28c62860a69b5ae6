-- The queue: what Darkroom adds to apalis.jobs, the table of apalis-postgres. docs/queue.md draws the state machine; the
-- constraints here say it again, so that no version of any binary, and no hand-written UPDATE, can break it.

-- Columns. apalis' own keep their meaning, so its board goes on reading the table:
--   status    Pending, Running, Done (succeeded) or Killed (finally failed). Nothing writes Queued or Failed.
--   attempts  runs that count: a run that was snoozed or handed back in a drain is taken off again.
--   run_at    not before this time.
--   lock_by   the worker that runs the job, or that finished it.   lock_at: since when it runs.
--   done_at   since when it is Done or Killed.
ALTER TABLE apalis.jobs
    ALTER COLUMN priority SET NOT NULL,
    -- How often the job has been claimed. The fencing token of its lease: whoever holds an older one changes nothing.
    ADD COLUMN fence integer NOT NULL DEFAULT 0,
    -- How many of its attempts ended with the death of their worker.
    ADD COLUMN crashes integer NOT NULL DEFAULT 0,
    -- Why a Pending job is not claimed in turn: `later` (until run_at), `suspect` (its workers died: it runs alone),
    -- `cancel` (an operator wants it ended; on a Running job too).
    ADD COLUMN hold text,
    -- Whose job it is, for fairness between lanes, and its place in the order that fairness makes.
    ADD COLUMN lane text,
    ADD COLUMN turn bigint NOT NULL DEFAULT 0,
    -- Why a Killed job is: `failed`, `exhausted`, `quarantined` or `cancelled`.
    ADD COLUMN reason text,
    -- What went wrong in its attempts, oldest first: [{"attempt", "kind", "message", "worker", "at"}].
    ADD COLUMN errors jsonb,
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),

    ADD CONSTRAINT jobs_status_known CHECK (status IN ('Pending', 'Running', 'Done', 'Killed')),
    ADD CONSTRAINT jobs_finished_has_time CHECK ((status IN ('Done', 'Killed')) = (done_at IS NOT NULL)),
    ADD CONSTRAINT jobs_running_has_owner
        CHECK (status <> 'Running' OR (lock_by IS NOT NULL AND lock_at IS NOT NULL AND fence > 0 AND attempts > 0)),
    ADD CONSTRAINT jobs_pending_has_no_owner CHECK (status <> 'Pending' OR lock_by IS NULL),
    ADD CONSTRAINT jobs_hold_known CHECK (
        hold IS NULL
        OR (status = 'Pending' AND hold IN ('later', 'suspect', 'cancel'))
        OR (status = 'Running' AND hold IN ('suspect', 'cancel'))),
    ADD CONSTRAINT jobs_killed_says_why
        CHECK ((status = 'Killed') = (reason IS NOT NULL)
               AND reason IN ('failed', 'exhausted', 'quarantined', 'cancelled')),
    ADD CONSTRAINT jobs_counts CHECK (max_attempts > 0 AND 0 <= attempts AND attempts <= fence AND 0 <= crashes),
    ADD CONSTRAINT jobs_errors_bounded CHECK (jsonb_array_length(errors) <= 20),
    -- A worker's row goes when the worker has; its finished jobs stay.
    DROP CONSTRAINT fk_worker_lock_by,
    -- The table is a treadmill: every job is three row versions. Vacuum must keep step whatever the table's size.
    SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
         autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02,
         autovacuum_vacuum_cost_delay = 0);

-- Indexes. Each one is paid for by every claim and every completion, so there is one per question that is asked often.
DROP INDEX apalis.unique_job_id;                -- the primary key, again
DROP INDEX apalis.lidx;
DROP INDEX apalis.idx_apalis_jobs_lock_by;      -- the same, again
DROP INDEX apalis.idx_apalis_jobs_fetch_partial;
DROP INDEX apalis.idx_jobs_idempotency_key;     -- holds every job without a key, too
CREATE UNIQUE INDEX jobs_key ON apalis.jobs (job_type, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- Which job is next? Jobs for later are not in here, so however many there are, a claim reads what it takes.
CREATE INDEX jobs_next ON apalis.jobs (job_type, priority DESC, turn, run_at, id)
    WHERE status = 'Pending' AND hold IS NULL;
-- Where does a lane's last job stand?
CREATE INDEX jobs_lane ON apalis.jobs (job_type, lane, priority, turn)
    WHERE status = 'Pending' AND hold IS NULL AND lane IS NOT NULL;
-- Which held jobs are due?
CREATE INDEX jobs_held ON apalis.jobs (job_type, hold, run_at) WHERE status = 'Pending' AND hold IS NOT NULL;
-- What does a worker run?
CREATE INDEX jobs_running ON apalis.jobs (lock_by) WHERE status = 'Running';

DROP INDEX apalis.unique_worker_id;             -- the primary key, again
DROP INDEX apalis.wtidx;                        -- idx_apalis_workers_worker_type, again
-- Every heartbeat writes last_seen: unindexed, that is a HOT update.
DROP INDEX apalis.lsidx, apalis.idx_apalis_workers_last_seen;

-- What an operator has said about a queue. A queue without a row is not paused and not limited.
CREATE TABLE queue_settings (
    queue           text PRIMARY KEY,
    paused_at       timestamptz,
    -- The most jobs of this queue that run at once in all processes together.
    running_limit   integer CHECK (running_limit > 0)
);

-- A job's turn (start-time fair queueing, after Goyal, Vin and Cheng, SIGCOMM 1996): a lane's job comes one turn after
-- the job before it in its lane, but never before the turn that is being served. So a lane that queues a thousand jobs
-- waits behind itself, and another lane's single job waits for at most one job of every lane. Jobs without a lane take
-- the turn being served and stand in the order of their coming. Reads without locking: two transactions may take the
-- same turn, and then stand side by side. plpgsql keeps the plans; its settings keep them on the indexes.
CREATE FUNCTION queue_next_turn(of_queue text, of_priority integer, of_lane text) RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
    served bigint;
    last bigint;
BEGIN
    SELECT turn INTO served FROM apalis.jobs
        WHERE job_type = of_queue AND priority = of_priority AND status = 'Pending' AND hold IS NULL
        ORDER BY turn LIMIT 1;
    IF of_lane IS NOT NULL THEN
        SELECT turn INTO last FROM apalis.jobs
            WHERE job_type = of_queue AND lane = of_lane AND priority = of_priority
              AND status = 'Pending' AND hold IS NULL
            ORDER BY turn DESC LIMIT 1;
    END IF;
    RETURN greatest(served, last + 1, 0);
END $$;

-- Appends to a job's errors; the oldest goes when there are 20.
CREATE FUNCTION queue_add_error(errors jsonb, attempt integer, worker text, kind text, message text) RETURNS jsonb
    LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN jsonb_array_length(errors) >= 20 THEN errors - 0 ELSE coalesce(errors, '[]') END
        || jsonb_build_object('attempt', attempt, 'kind', kind, 'message', message, 'worker', worker, 'at', now())
$$;

-- Wakes the workers once per statement and queue, not once per row: a NOTIFY takes a lock that every committing
-- transaction of the server waits for.
DROP TRIGGER notify_workers ON apalis.jobs;
DROP FUNCTION apalis.notify_new_jobs();
CREATE FUNCTION queue_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('darkroom_queue', job_type) FROM (SELECT DISTINCT job_type FROM added WHERE hold IS NULL) AS queue;
    RETURN NULL;
END $$;
CREATE TRIGGER queue_notify AFTER INSERT ON apalis.jobs
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION queue_notify();
