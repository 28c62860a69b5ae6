//! Notifies workers of new jobs, after the commit and not in it.
//!
//! A transaction with a NOTIFY holds a lock of the whole server from before its commit until the commit is on disk, so such
//! transactions commit one after the other, without group commit: five thousand commits a second become a thousand. A
//! transaction of a NOTIFY alone writes nothing and waits for no disk. So no statement of this crate that writes also
//! notifies: a queue is marked after the commit, and one task of the process notifies.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    schema::Schema,
    timeout::with_timeout,
    worker::connection::{ReconnectingConnection, connection_options},
};

/// Shortest time between two notifications of a process. The first is sent at once.
const INTERVAL: Duration = Duration::from_millis(10);
/// Longest time between two tries to reach the database.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How long [`Notifier::close`] waits.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) const NOTIFY: &str = "SELECT pg_notify('apalis_jobs', queue)::text FROM unnest($1::text[]) AS queue";

/// Notifies the workers of queues that have new jobs. One per process is enough; clones are the same.
///
/// ```no_run
/// # use darkroom_queue::{Enqueue, Job, Notifier, Schema, enqueue, sqlx::{self, PgPool}};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Greet;
/// # impl Job for Greet { const QUEUE: &'static str = "greet"; }
/// # async fn add(db: PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// let notifier = Notifier::start(Schema::default(), &db.connect_options(), false);
/// let mut tx = db.begin().await?;
/// enqueue(&mut tx, &Greet, &Enqueue::new()).await?;
/// tx.commit().await?;
/// notifier.notify(Greet::QUEUE);
/// # Ok(()) }
/// ```
///
/// The first mark is sent at once, about half a millisecond after the commit; then one statement every 10 ms at most tells of
/// all queues that were marked meanwhile. A notification that is lost, with its process for example, costs
/// a poll (see [`SupervisorOptions::poll`](crate::SupervisorOptions::poll)) and no job. The task ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    marks: Arc<Marks>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The queues to notify of.
#[derive(Debug, Default)]
struct Marks {
    queues: Mutex<BTreeSet<String>>,
    added: Notify,
}

impl Marks {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notifier {
    /// Starts the task. It needs a tokio runtime, and has one connection, opened at the first mark and again after an error.
    /// `pooler`: see [`SupervisorOptions::pooler`](crate::SupervisorOptions::pooler); workers that reach Postgres directly
    /// receive what is sent through a pooler.
    #[must_use]
    pub fn start(schema: Schema, database: &PgConnectOptions, pooler: bool) -> Self {
        let options = connection_options(database.clone(), pooler);
        let (marks, stop) = (Arc::<Marks>::default(), CancellationToken::new());
        let task = Task {
            schema,
            marks: Arc::clone(&marks),
            stop: stop.clone(),
            connection: ReconnectingConnection::new("notify", options, MAX_PAUSE),
        };
        let task = Mutex::new(Some(tokio::spawn(task.run())));
        Self(Arc::new(Handle { marks, stop, task }))
    }

    /// The queue has new jobs, which are committed. Returns at once.
    pub fn notify(&self, queue: &str) {
        let mut queues = self.0.marks.lock();
        if !queues.contains(queue) {
            queues.insert(queue.to_owned());
            self.0.marks.added.notify_one();
        }
    }

    /// Sends what is marked and ends the task, for all clones. Waits at most 2 s.
    pub async fn close(&self) {
        self.0.stop.cancel();
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // What is not sent by then is found by polls.
            _ = timeout(CLOSE_TIMEOUT, task).await;
        }
    }
}

struct Task {
    schema: Schema,
    marks: Arc<Marks>,
    stop: CancellationToken,
    connection: ReconnectingConnection,
}

impl Task {
    async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            let is_last = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                () = self.marks.added.notified() => false,
            };
            let sent = self.send().await;
            if is_last {
                self.connection.close().await;
                return;
            }
            let pause = async {
                match sent {
                    Ok(()) => sleep(INTERVAL).await,
                    Err(error) => self.connection.failed(&error).await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = pause => {}
            }
        }
    }

    /// Notifies of what is marked; after an error it is marked again.
    async fn send(&mut self) -> Result<(), sqlx::Error> {
        let queues = std::mem::take(&mut *self.marks.lock());
        if queues.is_empty() {
            return Ok(());
        }
        let sent = self.notify(queues.iter().map(String::as_str).collect()).await;
        if sent.is_err() {
            self.marks.lock().extend(queues);
            self.marks.added.notify_one();
        }
        sent
    }

    async fn notify(&mut self, queues: Vec<&str>) -> Result<(), sqlx::Error> {
        let notify = sqlx::query(self.schema.sql(NOTIFY)).bind(queues);
        with_timeout(notify.execute(self.connection.open().await?)).await?;
        Ok(())
    }
}
