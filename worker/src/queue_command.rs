//! `darkroom-worker queue …`: shows the queue to an operator and changes it. `docs/queue.md` says when to use which command.

use std::{num::NonZeroU16, process::ExitCode};

use anyhow::bail;
use clap::{Args, Subcommand};
use darkroom_queue::{
    JobId,
    control::{Control, JobFilter, JobStatus},
};
use darkroom_shared::{database::Database, jobs, settings::QueueSettings};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;

/// The arguments of `darkroom-worker queue`.
#[derive(Args, Debug)]
pub struct QueueCommand {
    #[command(subcommand)]
    action: Action,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show the state of every queue.
    Stats,
    /// Show warnings: late jobs, queues without workers, a blocked vacuum. Exit code 4 if there is any.
    Check,
    /// List jobs, newest first.
    List {
        /// Only this queue's jobs.
        #[arg(long)]
        queue: Option<String>,
        /// Only jobs in this state: pending, running, done or killed.
        #[arg(long)]
        status: Option<JobStatus>,
        /// Only jobs older than this one: the last of the previous page.
        #[arg(long)]
        before: Option<JobId>,
        /// At most this many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Show one job, with its errors.
    Show { job: JobId },
    /// Put a killed job back into its queue, with all its attempts.
    Retry { job: JobId },
    /// Release a job from quarantine. It runs alone, and one more crash quarantines it again.
    Release { job: JobId },
    /// End a job as cancelled, whether it waits or runs.
    Cancel { job: JobId },
    /// Give a pending job another priority; higher is claimed first.
    Prioritise {
        job: JobId,
        #[arg(allow_negative_numbers = true)]
        priority: i32,
    },
    /// Claim nothing more from a queue; what runs goes on.
    Pause { queue: String },
    /// End a pause.
    Resume { queue: String },
    /// Limit how many jobs of a queue run at once in all processes together; without a number: remove the limit.
    Limit { queue: String, running: Option<NonZeroU16> },
    /// Remove old finished jobs now.
    Prune,
    /// List schedules, and when they run next.
    Schedules,
}

/// Runs the command and prints its answer. Fails where there was no job or queue to change.
pub async fn run(db: &Database, settings: &QueueSettings, command: QueueCommand) -> anyhow::Result<ExitCode> {
    let (answer, columns, code) = match command.action {
        Action::Prune => {
            // Many transactions, each with the queue's own deadline.
            let mut connection = db.pool().acquire().await?;
            let pruned = Control::new(&mut connection).prune(settings.retention).await?;
            (serde_json::to_value(pruned)?, &[] as &[&str], ExitCode::SUCCESS)
        }
        action => db.transaction(async |tx| act(tx, settings, action).await).await?,
    };
    print!("{}", if command.json { format!("{answer:#}\n") } else { text(&answer, columns) });
    Ok(code)
}

/// The answer, its columns and the exit code of a command that is one transaction.
async fn act(
    tx: &mut PgConnection,
    settings: &QueueSettings,
    action: Action,
) -> anyhow::Result<(Value, &'static [&'static str], ExitCode)> {
    let mut code = ExitCode::SUCCESS;
    let mut control = Control::new(&mut *tx);
    let (answer, columns): (Value, &[&str]) = match action {
        Action::Stats => (rows(control.stats(settings.lease).await?)?, STATS),
        Action::List { queue, status, before, limit } => {
            let mut filter = JobFilter::default().limit(limit);
            filter = queue.into_iter().fold(filter, JobFilter::queue);
            filter = status.into_iter().fold(filter, JobFilter::status);
            filter = before.into_iter().fold(filter, JobFilter::before);
            (rows(control.list(&filter).await?)?, JOBS)
        }
        Action::Show { job } => match control.show(job).await? {
            Some(detail) => (serde_json::to_value(detail)?, &[]),
            None => bail!("there is no job {job}, or it was pruned"),
        },
        Action::Check => {
            let warnings = control.check(settings.thresholds, settings.lease).await?;
            if !warnings.is_empty() {
                code = ExitCode::from(4);
            }
            (rows(warnings)?, WARNINGS)
        }
        Action::Schedules => (rows(control.next_runs().await?)?, SCHEDULES),
        Action::Prune => bail!("pruning is no transaction"),
        Action::Retry { job } => changed(jobs::retry(tx, job).await?, "killed, and not in quarantine")?,
        Action::Release { job } => changed(jobs::release(tx, job).await?, "in quarantine")?,
        Action::Cancel { job } => changed(control.cancel(job).await?, "waiting or running")?,
        Action::Prioritise { job, priority } => changed(control.reprioritise(job, priority).await?, "waiting")?,
        Action::Pause { queue } => changed(control.pause(&queue).await?, "not paused")?,
        Action::Resume { queue } => changed(control.resume(&queue).await?, "paused")?,
        Action::Limit { queue, running } => changed(control.limit(&queue, running).await?, "limited otherwise")?,
    };
    Ok((answer, columns, code))
}

const STATS: &[&str] =
    &["queue", "ready", "delayed", "running", "running_limit", "suspects", "oldest_due", "workers", "paused_at"];
const JOBS: &[&str] = &["id", "queue", "status", "hold_reason", "reason", "attempts", "crashes", "run_at", "worker"];
const WARNINGS: &[&str] = &["warning", "queue", "holder", "seconds"];
const SCHEDULES: &[&str] = &["name", "queue", "cron", "last", "next"];

fn rows(rows: Vec<impl Serialize>) -> serde_json::Result<Value> {
    rows.into_iter().map(serde_json::to_value).collect()
}

/// The answer of a command that needs a job or queue in this state.
fn changed(done: bool, state: &str) -> anyhow::Result<(Value, &'static [&'static str])> {
    if !done {
        bail!("nothing changed: there is none of that name that is {state}");
    }
    Ok((json!({ "changed": true }), &[]))
}

/// Rows as aligned columns under their names, anything else as indented JSON.
fn text(answer: &Value, columns: &[&str]) -> String {
    let Value::Array(rows) = answer else { return format!("{answer:#}\n") };
    let cell = |row: &Value, column: &str| match &row[column] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut table = vec![columns.iter().map(|column| column.to_uppercase()).collect::<Vec<_>>()];
    table.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()));
    let width = |at: usize| table.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    table.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_printed_in_columns() {
        let answer = json!([{"queue": "sweep", "ready": 12}, {"queue": "process-image", "ready": null}]);
        assert_eq!(text(&answer, &["queue", "ready"]), "QUEUE          READY\nsweep          12\nprocess-image  -\n");
    }
}
