//! What will hurt soon: asked for by operators, and looked at by every process, which logs what it finds.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;
use sqlx::{PgConnection, Row as _};
use tracing::{info, warn};

use super::{
    link::{Link, within},
    supervisor::Shared,
};

/// Between two looks, about.
const PAUSE: Duration = Duration::from_mins(1);

/// From when something is worth a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// How long a due job may wait.
    pub late: Duration,
    /// How long a transaction may keep Postgres from removing dead rows. A queue makes some with every job; they slow
    /// claims down the longer they stay.
    pub horizon: Duration,
}

impl Default for Thresholds {
    /// Five minutes each.
    fn default() -> Self {
        Self { late: Duration::from_mins(5), horizon: Duration::from_mins(5) }
    }
}

/// Something that an operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "warning", rename_all = "snake_case")]
pub enum Warning {
    /// Due jobs wait for too long.
    Late {
        /// Which queue's.
        queue: String,
        /// How long the next job of one of its priorities has been due, in seconds.
        seconds: u64,
    },
    /// Jobs are due, and no process works on their queue.
    NoWorker {
        /// Which queue's.
        queue: String,
    },
    /// Something keeps Postgres from removing dead rows.
    Horizon {
        /// What it is, for people: a session, a prepared transaction or a replication slot.
        holder: String,
        /// For how long, in seconds, where that is known.
        seconds: Option<u64>,
    },
}

impl Warning {
    /// Tells one condition from another, whatever its measure.
    fn condition(&self) -> (u8, &str) {
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
                write!(f, "{holder} keeps Postgres from removing dead rows")?;
                seconds.map_or(Ok(()), |seconds| write!(f, ", for {seconds} s now"))
            }
        }
    }
}

/// Looks for everything that [`Warning`] knows. Cheap whatever the size of the table. `lease` is how long a worker is
/// believed alive after its last heartbeat. A paused queue is late on purpose, and not in here.
pub async fn check(
    db: &mut PgConnection,
    thresholds: Thresholds,
    lease: Duration,
) -> Result<Vec<Warning>, sqlx::Error> {
    let mut warnings = queues(db, thresholds, lease).await?;
    warnings.extend(horizon(db, thresholds.horizon).await?);
    Ok(warnings)
}

/// Jumps from queue to queue and from priority to priority in the index of claims, and reads the job at the head of each.
async fn queues(db: &mut PgConnection, thresholds: Thresholds, lease: Duration) -> Result<Vec<Warning>, sqlx::Error> {
    let sql = "
        WITH RECURSIVE head AS (
            (SELECT job_type, priority, run_at FROM apalis.jobs WHERE status = 'Pending' AND hold IS NULL
             ORDER BY job_type, priority DESC, turn, run_at, id LIMIT 1)
            UNION ALL
            SELECT next.* FROM head CROSS JOIN LATERAL (
                (SELECT job_type, priority, run_at FROM apalis.jobs
                 WHERE status = 'Pending' AND hold IS NULL AND job_type = head.job_type AND priority < head.priority
                 ORDER BY job_type, priority DESC, turn, run_at, id LIMIT 1)
                UNION ALL
                (SELECT job_type, priority, run_at FROM apalis.jobs
                 WHERE status = 'Pending' AND hold IS NULL AND job_type > head.job_type
                 ORDER BY job_type, priority DESC, turn, run_at, id LIMIT 1)
                LIMIT 1
            ) AS next
        )
        SELECT job_type, greatest(extract(epoch FROM now() - min(run_at)), 0)::bigint,
            EXISTS (SELECT FROM apalis.workers
                WHERE worker_type = job_type AND storage_name = 'darkroom' AND last_seen > now() - $1)
        FROM head
        WHERE NOT EXISTS (SELECT FROM queue_settings WHERE queue = job_type AND paused_at IS NOT NULL)
        GROUP BY job_type ORDER BY job_type";
    let mut warnings = Vec::new();
    for row in sqlx::query(sql).bind(lease).fetch_all(db).await? {
        let (queue, seconds, is_served): (String, i64, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let seconds = seconds.unsigned_abs();
        // A worker that starts is not there at once.
        if !is_served && seconds > lease.as_secs() {
            warnings.push(Warning::NoWorker { queue: queue.clone() });
        }
        if seconds > thresholds.late.as_secs() {
            warnings.push(Warning::Late { queue, seconds });
        }
    }
    Ok(warnings)
}

/// Who holds back the oldest row versions that must be kept. Of other users' sessions only those are seen that this user
/// may see (`pg_read_all_stats`). A vacuum holds nothing back.
async fn horizon(db: &mut PgConnection, longest: Duration) -> Result<Vec<Warning>, sqlx::Error> {
    let sql = "
        SELECT format('session %s (%s, %s)', pid, coalesce(nullif(application_name, ''), backend_type), state),
            extract(epoch FROM clock_timestamp() - xact_start)::bigint
        FROM pg_stat_activity
        WHERE backend_xmin IS NOT NULL AND xact_start < clock_timestamp() - $1 AND backend_type <> 'autovacuum worker'
            AND datname = current_database() AND query NOT ILIKE 'vacuum%'
        UNION ALL
        SELECT format('prepared transaction %s', gid), extract(epoch FROM clock_timestamp() - prepared)::bigint
        FROM pg_prepared_xacts WHERE prepared < clock_timestamp() - $1 AND database = current_database()
        UNION ALL
        SELECT format('replication slot %s', slot_name), NULL FROM pg_replication_slots
        WHERE NOT active AND xmin IS NOT NULL";
    let rows = sqlx::query(sql).bind(longest).fetch_all(db).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(Warning::Horizon {
            holder: row.try_get(0)?,
            seconds: row.try_get::<Option<i64>, _>(1)?.map(i64::unsigned_abs),
        })
    };
    rows.iter().map(read).collect()
}

/// Looks from time to time until the process drains. A condition is logged when it begins and when it has ended.
pub(super) async fn run(shared: Arc<Shared>, mut link: Link) {
    let work = async {
        let mut known = Vec::new();
        loop {
            let result = pass(&shared, &mut link, &mut known).await;
            link.rest(result, PAUSE).await;
        }
    };
    tokio::select! {
        () = shared.draining.cancelled() => {}
        () = work => {}
    }
}

async fn pass(shared: &Shared, link: &mut Link, known: &mut Vec<Warning>) -> Result<(), sqlx::Error> {
    let options = &shared.options;
    let found = within(check(link.open().await?, options.thresholds, options.lease)).await?;
    tell(known, &found);
    *known = found;
    Ok(())
}

fn tell(known: &[Warning], found: &[Warning]) {
    let is_known = |warning: &Warning| known.iter().any(|known| known.condition() == warning.condition());
    for warning in found.iter().filter(|warning| !is_known(warning)) {
        warn!("{warning}");
    }
    let is_over = |known: &&Warning| found.iter().all(|found| found.condition() != known.condition());
    for over in known.iter().filter(is_over) {
        info!("no longer: {over}");
    }
}
