//! The states of a job, as the table spells them.

use crate::text_enum::text_enum;

text_enum! {
    /// The state of a job.
    pub enum JobStatus {
        /// Waits to be claimed, or is held: see [`HoldReason`].
        Pending = "Pending",
        /// A worker has claimed it.
        Running = "Running",
        /// It succeeded.
        Done = "Done",
        /// It failed for good.
        Killed = "Killed",
    }
}

text_enum! {
    /// Why a job is not claimed in turn.
    pub enum HoldReason {
        /// It waits for its `run_at`: enqueued with a delay, snoozed, or in the backoff after an error.
        Delayed = "delayed",
        /// Its workers died. One more crash quarantines it, so it runs alone in its process.
        Suspect = "suspect",
        /// An operator wants it ended.
        Cancel = "cancel",
    }
}
