-- The tables of the queue. The columns up to `metadata` are those of apalis-postgres 1.0, so its board reads them; a test
-- compares the two. README.md draws the state machine; the constraints here repeat it, so that no version of any program,
-- and no hand-written UPDATE, can break it.
--
-- The names `apalis.` and `apalis_jobs` are replaced by the configured schema and its channel.

CREATE TABLE apalis.workers (
    id              text COLLATE "C" PRIMARY KEY,
    worker_type     text NOT NULL,              -- the queue it works on
    storage_name    text NOT NULL,
    layers          text NOT NULL DEFAULT '',
    -- The last heartbeat. Not indexed: every heartbeat writes it, and is a HOT update that way.
    last_seen       timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz
);
CREATE INDEX workers_queue ON apalis.workers (worker_type);

-- Names are compared byte by byte: nobody reads them in alphabetical order, every claim and every acknowledgement
-- compares ids, and the rules of a language make that slower by a few percent (C.UTF-8) or by several times.
CREATE TABLE apalis.jobs (
    job             bytea NOT NULL,             -- the payload, JSON
    id              text COLLATE "C" PRIMARY KEY,
    job_type        text COLLATE "C" NOT NULL,  -- the queue
    -- Pending, Running, Done (succeeded) or Killed (finally failed). apalis' own Queued and Failed are refused.
    status          text NOT NULL DEFAULT 'Pending',
    -- Runs that count: one that was snoozed or handed back in a drain is subtracted again.
    attempts        integer NOT NULL DEFAULT 0,
    max_attempts    integer NOT NULL DEFAULT 25,
    run_at          timestamptz NOT NULL DEFAULT now(),
    last_result     jsonb,
    lock_at         timestamptz,                -- start of the current or the last run
    lock_by         text COLLATE "C",           -- the worker of the current or the last run
    done_at         timestamptz,                -- when it became Done or Killed
    priority        integer NOT NULL DEFAULT 0,
    idempotency_key text COLLATE "C",
    -- Always null. apalis-postgres has an hstore here; a null needs no extension and decodes as one.
    metadata        jsonb CONSTRAINT jobs_metadata_unused CHECK (metadata IS NULL),

    -- Number of claims so far: the fencing token of the lease. A holder of an older one changes nothing.
    fence           integer NOT NULL DEFAULT 0,
    -- Number of attempts that ended with the death of their worker.
    crashes         integer NOT NULL DEFAULT 0,
    -- Why a Pending job is not claimed in turn: `delayed` (until run_at), `suspect` (its workers died: it runs alone),
    -- `cancel` (an operator wants it ended; on a Running job too).
    hold_reason     text,
    -- The lane, for fairness, and the position in the order that fairness makes.
    lane            text COLLATE "C",
    turn            bigint NOT NULL DEFAULT 0,
    -- Why a Killed job failed: `failed`, `exhausted`, `quarantined` or `cancelled`.
    reason          text,
    -- The last 20 errors, oldest first: [{"attempt", "kind", "message", "worker", "at"}].
    errors          jsonb,
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- At most one unfinished job of a queue has this key.
    once_key        text COLLATE "C",

    CONSTRAINT jobs_status_known CHECK (status IN ('Pending', 'Running', 'Done', 'Killed')),
    CONSTRAINT jobs_finished_has_time CHECK ((status IN ('Done', 'Killed')) = (done_at IS NOT NULL)),
    CONSTRAINT jobs_running_has_owner
        CHECK (status <> 'Running' OR (lock_by IS NOT NULL AND lock_at IS NOT NULL AND fence > 0 AND attempts > 0)),
    CONSTRAINT jobs_pending_has_no_owner CHECK (status <> 'Pending' OR lock_by IS NULL),
    CONSTRAINT jobs_hold_reason_known CHECK (
        hold_reason IS NULL
        OR (status = 'Pending' AND hold_reason IN ('delayed', 'suspect', 'cancel'))
        OR (status = 'Running' AND hold_reason IN ('suspect', 'cancel'))),
    CONSTRAINT jobs_killed_has_reason
        CHECK ((status = 'Killed') = (reason IS NOT NULL)
               AND reason IN ('failed', 'exhausted', 'quarantined', 'cancelled')),
    CONSTRAINT jobs_counts CHECK (max_attempts > 0 AND 0 <= attempts AND attempts <= fence AND 0 <= crashes),
    CONSTRAINT jobs_errors_bounded CHECK (jsonb_array_length(errors) <= 20)
) WITH (
    -- Every job is three row versions. Vacuum must keep up whatever the size of the table.
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);

-- Every claim and every completion pays for each index, so there is one per question that is asked often.
CREATE UNIQUE INDEX jobs_key ON apalis.jobs (job_type, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_once ON apalis.jobs (job_type, once_key)
    WHERE once_key IS NOT NULL AND status IN ('Pending', 'Running');
-- Which job is next? Delayed jobs are not in here, so a claim reads what it takes, however many of them there are.
CREATE INDEX jobs_next ON apalis.jobs (job_type, priority DESC, turn, run_at, id)
    WHERE status = 'Pending' AND hold_reason IS NULL;
-- Which is the last turn of a lane?
CREATE INDEX jobs_lane ON apalis.jobs (job_type, lane, priority, turn)
    WHERE status = 'Pending' AND hold_reason IS NULL AND lane IS NOT NULL;
-- Which held jobs are due?
CREATE INDEX jobs_held ON apalis.jobs (job_type, hold_reason, run_at)
    WHERE status = 'Pending' AND hold_reason IS NOT NULL;
-- What does a worker run?
CREATE INDEX jobs_running ON apalis.jobs (lock_by) WHERE status = 'Running';

-- Settings of an operator. A queue without a row is not paused and not limited.
CREATE TABLE apalis.settings (
    queue           text PRIMARY KEY,
    paused_at       timestamptz,
    -- Maximum of this queue's jobs that run at once in all processes together.
    running_limit   integer CHECK (running_limit > 0)
);

-- Cron schedules, as the processes that have them last wrote them.
CREATE TABLE apalis.schedules (
    name            text PRIMARY KEY,
    queue           text NOT NULL,
    cron            text NOT NULL,
    -- The newest tick that was enqueued, or the tick before the schedule was first seen. It only grows: that makes a tick
    -- happen once, however many processes have the schedule and however soon its job is pruned.
    last_tick       timestamptz NOT NULL,
    -- When a process that has the schedule last wrote this row.
    seen_at         timestamptz NOT NULL
);

-- The turn of a job (start-time fair queueing, after Goyal, Vin and Cheng, SIGCOMM 1996): one more than that of the job
-- before it in its lane, but at least the turn that is being served. So a lane that queues a thousand jobs waits behind
-- itself, and the single job of another lane waits for at most one job of every lane. Jobs without a lane take the turn
-- that is being served and run in order of arrival. It reads without locking: two transactions may take the same turn,
-- and their jobs then stand side by side. plpgsql caches the plans; the settings keep them on the indexes.
CREATE FUNCTION apalis.next_turn(of_queue text, of_priority integer, of_lane text) RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
    served bigint;
    last bigint;
BEGIN
    SELECT turn INTO served FROM apalis.jobs
        WHERE job_type = of_queue AND priority = of_priority AND status = 'Pending' AND hold_reason IS NULL
        ORDER BY turn LIMIT 1;
    IF of_lane IS NOT NULL THEN
        SELECT turn INTO last FROM apalis.jobs
            WHERE job_type = of_queue AND lane = of_lane AND priority = of_priority
              AND status = 'Pending' AND hold_reason IS NULL
            ORDER BY turn DESC LIMIT 1;
    END IF;
    RETURN greatest(served, last + 1, 0);
END $$;

-- Appends to the errors of a job; drops the oldest when there are 20.
CREATE FUNCTION apalis.append_error(errors jsonb, attempt integer, worker text, kind text, message text) RETURNS jsonb
    LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN jsonb_array_length(errors) >= 20 THEN errors - 0 ELSE coalesce(errors, '[]') END
        || jsonb_build_object('attempt', attempt, 'kind', kind, 'message', message, 'worker', worker, 'at', now())
$$;
