-- Cron schedules of the queue, as the processes that carry them last wrote them. docs/queue.md says how they run.
CREATE TABLE queue_schedules (
    name            text PRIMARY KEY,
    queue           text NOT NULL,
    cron            text NOT NULL,
    -- The newest tick that was queued, or that lay behind when the schedule was first seen. Only ever grows: that is what
    -- makes a tick happen once, however many processes look and however soon its job is pruned.
    last_tick       timestamptz NOT NULL,
    -- When a process that carries the schedule last looked.
    seen_at         timestamptz NOT NULL
);
