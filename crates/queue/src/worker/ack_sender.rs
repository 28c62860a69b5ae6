//! The way of an acknowledgement from the attempt to the task that writes it.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{registry::QueueRegistry, roster::Roster};
use crate::{lease::LeaseState, outcome::Ack};

/// Capacity of the channel; when it is full, attempts keep their slots (backpressure). Two of the largest commits.
const CAPACITY: usize = 2000;

/// Sends acknowledgements to the task that writes them, and releases leases when they are written.
#[derive(Clone)]
pub(crate) struct AckSender {
    acks: mpsc::Sender<Ack>,
    queues: Arc<QueueRegistry>,
    roster: Arc<Roster>,
}

impl AckSender {
    /// The sender, and the acknowledgements that are to be written.
    pub(crate) fn new(queues: Arc<QueueRegistry>, roster: Arc<Roster>) -> (Self, mpsc::Receiver<Ack>) {
        let (acks, receiver) = mpsc::channel(CAPACITY);
        (Self { acks, queues, roster }, receiver)
    }

    /// Waits while too many are unwritten.
    pub(crate) async fn send(&self, ack: Ack) {
        if let Err(closed) = self.acks.send(ack).await {
            // The tasks have ended; the lease runs out by itself.
            self.settle(&closed.0.lease);
        }
    }

    /// Sends after a delay, without waiting for it.
    pub(crate) fn send_later(&self, ack: Ack, delay: Duration) {
        let sender = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            sender.send(ack).await;
        });
    }

    /// Releases a lease whose acknowledgement is written.
    pub(crate) fn settle(&self, lease: &LeaseState) {
        if self.roster.remove(lease)
            && let Some(queue) = self.queues.get(lease.queue)
        {
            queue.settled();
        }
    }
}
