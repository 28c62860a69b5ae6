//! Conditions that will cause trouble soon: late jobs, queues without workers, a blocked vacuum.

use std::{fmt, time::Duration};

use serde::Serialize;
use sqlx::FromRow;

use super::Control;
use crate::options::Thresholds;

/// Something that an operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "warning", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// A due job has waited longer than the threshold.
    Late {
        /// The queue.
        queue: String,
        /// How long the next job of one of its priorities has been due, in seconds.
        seconds: u64,
    },
    /// Jobs are due, and no process works on their queue.
    NoWorker {
        /// The queue.
        queue: String,
    },
    /// A transaction or a replication slot keeps vacuum from removing dead rows.
    Horizon {
        /// A session, a prepared transaction or a replication slot, as text.
        holder: String,
        /// For how long, in seconds. `None`: unknown.
        seconds: Option<u64>,
    },
}

impl Warning {
    /// The condition, without how long it has lasted.
    pub(crate) fn condition(&self) -> (u8, &str) {
        match self {
            Self::Late { queue, .. } => (0, queue),
            Self::NoWorker { queue } => (1, queue),
            Self::Horizon { holder, .. } => (2, holder),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late { queue, seconds } => write!(f, "jobs of {queue} are late: one has been due for {seconds} s"),
            Self::NoWorker { queue } => write!(f, "jobs of {queue} are due, and no process works on it"),
            Self::Horizon { holder, seconds } => {
                write!(f, "{holder} blocks vacuum")?;
                seconds.map_or(Ok(()), |seconds| write!(f, ", for {seconds} s"))
            }
        }
    }
}

/// Jumps from queue to queue and from priority to priority in the index of claims, and reads the first job of each.
pub(crate) const CHECK_QUEUES: &str = "
    WITH RECURSIVE head AS (
        (SELECT job_type, priority, run_at FROM apalis.jobs WHERE status = 'Pending' AND hold_reason IS NULL
         ORDER BY job_type, priority DESC, turn, run_at, id LIMIT 1)
        UNION ALL
        SELECT next.* FROM head CROSS JOIN LATERAL (
            (SELECT job_type, priority, run_at FROM apalis.jobs
             WHERE status = 'Pending' AND hold_reason IS NULL AND job_type = head.job_type AND priority < head.priority
             ORDER BY job_type, priority DESC, turn, run_at, id LIMIT 1)
            UNION ALL
            (SELECT job_type, priority, run_at FROM apalis.jobs
             WHERE status = 'Pending' AND hold_reason IS NULL AND job_type > head.job_type
             ORDER BY job_type, priority DESC, turn, run_at, id LIMIT 1)
            LIMIT 1
        ) AS next
    )
    SELECT job_type AS queue, greatest(extract(epoch FROM now() - min(run_at)), 0)::bigint AS seconds,
        EXISTS (SELECT FROM apalis.workers
            WHERE worker_type = job_type AND storage_name = 'queue' AND last_seen > now() - $1::interval) AS has_worker
    FROM head
    WHERE NOT EXISTS (SELECT FROM apalis.settings WHERE queue = job_type AND paused_at IS NOT NULL)
    GROUP BY job_type ORDER BY job_type";
/// The oldest transactions and slots that vacuum must respect. Of other users' sessions it sees those that this user may see
/// (`pg_read_all_stats`). A vacuum blocks no other.
pub(crate) const CHECK_HORIZON: &str = "
    SELECT format('session %s (%s, %s)', pid, coalesce(nullif(application_name, ''), backend_type), state) AS holder,
        extract(epoch FROM clock_timestamp() - xact_start)::bigint AS seconds
    FROM pg_stat_activity
    WHERE backend_xmin IS NOT NULL AND xact_start < clock_timestamp() - $1::interval AND backend_type <> 'autovacuum worker'
        AND datname = current_database() AND query NOT ILIKE 'vacuum%'
    UNION ALL
    SELECT format('prepared transaction %s', gid), extract(epoch FROM clock_timestamp() - prepared)::bigint
    FROM pg_prepared_xacts WHERE prepared < clock_timestamp() - $1::interval AND database = current_database()
    UNION ALL
    SELECT format('replication slot %s', slot_name), NULL FROM pg_replication_slots
    WHERE NOT active AND xmin IS NOT NULL";

impl Control<'_> {
    /// All [`Warning`]s that hold now. Fast whatever the size of the table. `lease` is that of the workers, see
    /// [`SupervisorOptions::lease`](crate::SupervisorOptions::lease). Jobs of a paused queue are not reported as late.
    pub async fn check(&mut self, thresholds: Thresholds, lease: Duration) -> Result<Vec<Warning>, sqlx::Error> {
        let mut warnings = self.check_queues(thresholds.late, lease).await?;
        warnings.extend(self.check_horizon(thresholds.horizon).await?);
        Ok(warnings)
    }

    async fn check_queues(&mut self, longest: Duration, lease: Duration) -> Result<Vec<Warning>, sqlx::Error> {
        #[derive(FromRow)]
        struct Row {
            queue: String,
            seconds: i64,
            has_worker: bool,
        }
        let rows: Vec<Row> = sqlx::query_as(self.schema.sql(CHECK_QUEUES)).bind(lease).fetch_all(&mut *self.db).await?;
        let mut warnings = Vec::new();
        for Row { queue, seconds, has_worker } in rows {
            let seconds = seconds.unsigned_abs();
            // A worker that starts needs a moment.
            if !has_worker && seconds > lease.as_secs() {
                warnings.push(Warning::NoWorker { queue: queue.clone() });
            }
            if seconds > longest.as_secs() {
                warnings.push(Warning::Late { queue, seconds });
            }
        }
        Ok(warnings)
    }

    async fn check_horizon(&mut self, longest: Duration) -> Result<Vec<Warning>, sqlx::Error> {
        #[derive(FromRow)]
        struct Row {
            holder: String,
            seconds: Option<i64>,
        }
        let rows: Vec<Row> =
            sqlx::query_as(self.schema.sql(CHECK_HORIZON)).bind(longest).fetch_all(&mut *self.db).await?;
        let warning =
            |Row { holder, seconds }: Row| Warning::Horizon { holder, seconds: seconds.map(i64::unsigned_abs) };
        Ok(rows.into_iter().map(warning).collect())
    }
}
