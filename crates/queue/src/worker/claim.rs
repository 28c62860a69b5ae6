//! Claims due jobs, as many as there are free slots, for all queues of this process.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    ack_sender::AckSender,
    claim_query::{ClaimQueries, Claimed, RESERVATION, claim_size},
    connection::ReconnectingConnection,
    frontier::Frontiers,
    inbox::Inbox,
    registry::QueueRegistry,
    roster::Roster,
};
use crate::{
    backoff::jittered,
    lease::{Claim, LeaseState},
    schema::Schema,
    timeout::with_timeout,
};

/// Time until a queue that had new jobs is looked at again: notifications come at most every 10 ms
/// ([`Notifier`](crate::Notifier)), and a queue with jobs will have more.
const SECOND_LOOK: Duration = Duration::from_millis(2);

/// When the next round of claims may find jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NextRound {
    /// When a notification comes, a slot is freed, or at the next poll.
    Woken,
    /// After [`SECOND_LOOK`].
    Soon,
    Now,
}

/// The task that claims.
pub(crate) struct Claimer {
    pub(crate) schema: Schema,
    pub(crate) queries: ClaimQueries,
    pub(crate) poll: Duration,
    pub(crate) queues: Arc<QueueRegistry>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) acks: AckSender,
    /// Some queue may have jobs, and room for them.
    pub(crate) wake: Arc<Notify>,
    pub(crate) draining: CancellationToken,
    pub(crate) connection: ReconnectingConnection,
}

impl Claimer {
    /// Claims until the process drains.
    pub(crate) async fn run(mut self) {
        let mut next_poll = Instant::now();
        let mut frontiers = Frontiers::default();
        while !self.draining.is_cancelled() {
            let round = async {
                if next_poll <= Instant::now() {
                    next_poll = Instant::now() + jittered(self.poll);
                    self.queues.mark_all_pending();
                    self.refresh_limits().await?;
                    self.run_suspect().await?;
                }
                self.claim_round(&mut frontiers).await
            };
            match round.await {
                Ok(NextRound::Now) => {}
                Ok(NextRound::Soon) => tokio::select! {
                    () = tokio::time::sleep(SECOND_LOOK) => {}
                    () = self.draining.cancelled() => {}
                },
                Ok(NextRound::Woken) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(next_poll) => {}
                    () = self.draining.cancelled() => {}
                },
                Err(error) => {
                    self.connection.failed(&error).await;
                    self.queues.mark_all_pending();
                }
            }
        }
    }

    /// One claim for each queue that has room and may have jobs. Returns when another round may find more.
    async fn claim_round(&mut self, frontiers: &mut Frontiers) -> Result<NextRound, sqlx::Error> {
        let mut next = NextRound::Woken;
        for queue in self.queues.all() {
            let queue = queue.as_ref();
            let limit = claim_size(queue.room());
            // The mark is cleared before the claim: jobs that arrive while the claim runs set it again.
            if limit == 0 || !queue.take_pending() {
                continue;
            }
            let conn = self.connection.open().await?;
            let from = frontiers.position(queue.queue()).cloned();
            let Claimed { claims, last } = if queue.is_limited() {
                let claims = with_timeout(self.queries.claim_limited(conn, queue, limit)).await?;
                Claimed { claims, last: None }
            } else {
                with_timeout(self.queries.claim(conn, queue, limit, false, from.as_ref())).await?
            };
            let is_full = claims.len() == limit;
            frontiers.claimed(queue.queue(), from.as_ref(), last.filter(|_| is_full));
            let claims = if claims.is_empty() && from.is_none() && self.may_take_over(queue) {
                let conn = self.connection.open().await?;
                let taken = with_timeout(self.queries.take_over_idle(conn, queue, limit)).await?;
                if !taken.is_empty() {
                    info!(queue = queue.queue(), jobs = taken.len(), "took over jobs that only waited elsewhere");
                    // There may be more for the next free slot.
                    queue.mark_pending();
                }
                taken
            } else {
                claims
            };
            if is_full || from.is_some() {
                queue.mark_pending();
                if queue.room() > 0 {
                    next = NextRound::Now;
                }
            } else if queue.is_limited() {
                // Perhaps it is the limit that has stopped the claim: the end of a job makes room for another.
                queue.mark_pending();
            } else if !claims.is_empty() {
                queue.mark_pending();
                next = next.max(NextRound::Soon);
            }
            self.deliver(queue, claims).await;
        }
        Ok(next)
    }

    fn may_take_over(&self, queue: &Inbox) -> bool {
        queue.takes_over_idle() && !self.roster.has_idle(queue.queue())
    }

    /// Adds claimed jobs to the roster and hands them to their queue.
    async fn deliver(&self, queue: &Inbox, claims: Vec<Claim>) {
        for claim in claims {
            let lease = Arc::new(LeaseState::new(&self.schema, queue.queue(), &claim));
            self.roster.add(Arc::clone(&lease));
            if let Some(ack) = queue.deliver(&lease, &claim.payload) {
                self.acks.send(ack).await;
            }
        }
    }

    /// Reads which queues have a limit across all processes.
    async fn refresh_limits(&mut self) -> Result<(), sqlx::Error> {
        let limited = with_timeout(self.queries.limited_queues(self.connection.open().await?)).await?;
        for queue in self.queues.all() {
            queue.set_limited(limited.iter().any(|name| name == queue.queue()));
        }
        Ok(())
    }

    /// Runs one suspect, if one is due: a job whose workers died, and which one more crash would quarantine. It runs alone
    /// in its process, so that a crash quarantines this job and no other.
    ///
    /// While this process finishes what it runs, a reservation (a `run_at` a little ahead) keeps others from doing the same
    /// for the same suspect; if this process ends meanwhile, the reservation lapses and nothing is lost.
    async fn run_suspect(&mut self) -> Result<(), sqlx::Error> {
        let polled: Vec<_> = self.queues.all().into_iter().filter(|queue| queue.is_polled()).collect();
        if polled.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = polled.iter().map(|queue| queue.queue()).collect();
        let workers: Vec<&str> = polled.iter().map(|queue| queue.worker()).collect();
        let conn = self.connection.open().await?;
        let reserved = with_timeout(self.queries.reserve_suspect(conn, &names, &workers)).await?;
        let Some((id, name)) = reserved else { return Ok(()) };
        let Some(queue) = polled.iter().find(|queue| queue.queue() == name) else { return Ok(()) };

        info!(job = %id, queue = name, "a job whose workers died is about to run alone");
        loop {
            tokio::select! {
                () = self.draining.cancelled() => return Ok(()),
                () = self.roster.emptied() => break,
                () = tokio::time::sleep(RESERVATION / 3) => {
                    with_timeout(self.queries.extend_reservation(self.connection.open().await?, id)).await?;
                }
            }
        }
        let conn = self.connection.open().await?;
        let claims = with_timeout(self.queries.claim_suspect(conn, queue.as_ref(), id)).await?;
        self.deliver(queue.as_ref(), claims).await;
        tokio::select! {
            () = self.draining.cancelled() => {}
            () = self.roster.emptied() => {}
        }
        Ok(())
    }
}
