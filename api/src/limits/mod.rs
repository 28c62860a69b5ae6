//! What clients and owners may use, and what is answered beyond it: 429 for their own limits, 503 for those of the service.
//!
//! | file | what it holds |
//! |---|---|
//! | `gcra.rs`, `rates.rs` | requests per second of each client |
//! | `client.rs` | by whom requests are counted |
//! | `owners.rs` | the usage of each owner, cached in this process |
//! | `admission.rs` | whether an owner may upload |
//! | `upkeep.rs` | what is written and read once a second |
//! | `policy.rs` | the names of limits, and the refusal |
//! | `fields.rs` | the headers `RateLimit-Policy` and `RateLimit` |
//! | `report.rs` | `GET /v1/limits` |
//! | `open_files.rs` | maximum numbers of connections and requests in flight |

mod admission;
mod client;
pub(crate) mod fields;
mod gcra;
mod open_files;
mod owners;
mod policy;
mod rates;
pub(crate) mod report;
mod upkeep;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use darkroom_model::Owner;
use darkroom_shared::{database::Database, settings::QuotaSettings};
use uuid::Uuid;

pub(crate) use self::{
    admission::{Admission, Purpose},
    fields::Quotas,
};
pub use self::{
    client::Client,
    open_files::{connections, raise_open_files},
    policy::QuotaExceeded,
};
use self::{
    fields::Quota,
    gcra::Rate,
    owners::Owners,
    policy::{FAILED_AUTHENTICATIONS, REQUESTS},
    rates::Rates,
};

/// The window of requests. A client may send those of the whole window at once.
const REQUESTS_WINDOW: Duration = Duration::from_secs(10);
/// The window of failed authentications.
const FAILURES_WINDOW: Duration = Duration::from_mins(1);

/// Counts what clients and owners use, and refuses what exceeds their limits.
///
/// Each process counts in memory, and reads once a second what the others have counted: together they may exceed a limit by what
/// they accept within that time. Of the requests of a client, each process allows its share.
#[derive(Debug)]
pub struct Limiter {
    db: Database,
    settings: QuotaSettings,
    /// This process.
    process: Uuid,
    /// The processes that serve the api, with this one.
    processes: AtomicU32,
    requests: Rates<Client>,
    failures: Rates<Client>,
    owners: Owners,
    /// Held while an owner is read for the first time.
    first_read: tokio::sync::Mutex<()>,
}

impl Limiter {
    pub(crate) fn new(db: Database, settings: QuotaSettings) -> Arc<Self> {
        Arc::new(Self {
            db,
            process: Uuid::now_v7(),
            processes: AtomicU32::new(1),
            requests: Rates::new(),
            failures: Rates::new(),
            owners: Owners::new(settings.owner),
            first_read: tokio::sync::Mutex::default(),
            settings,
        })
    }

    /// Counts a request of a client on behalf of an owner.
    ///
    /// # Errors
    /// The client has sent too many.
    pub(crate) fn admit(&self, client: Client, owner: Owner, quotas: &Quotas) -> Result<(), QuotaExceeded> {
        let Some(rate) = requests_rate(self.owners.limits(owner).requests_per_second) else { return Ok(()) };
        let processes = self.processes.load(Ordering::Relaxed);
        let taken = self.requests.take(client, rate.share(processes));
        let (remaining, more_in) = match taken {
            // What the other processes have left is not known.
            Ok(remaining) => (remaining.units.saturating_mul(processes.into()).min(rate.quota), remaining.more_in),
            Err(retry_after) => (0, retry_after),
        };
        let Rate { quota, window } = rate;
        quotas.add(Quota { name: REQUESTS, unit: None, units: quota, window, remaining, more_in });
        taken.map(drop).map_err(|retry_after| QuotaExceeded {
            policy: REQUESTS,
            retry_after: Some(retry_after),
            detail: format!("At most {quota} requests in {} s are allowed.", window.as_secs()),
        })
    }

    /// Counts a request with an invalid key. Requests with a valid one from the same address are not affected.
    ///
    /// # Errors
    /// The client has sent too many.
    pub fn count_failed_authentication(&self, client: Client) -> Result<(), QuotaExceeded> {
        let Some(quota) = self.settings.failed_authentications else { return Ok(()) };
        let rate = Rate { quota, window: FAILURES_WINDOW };
        let processes = self.processes.load(Ordering::Relaxed);
        let counted = self.failures.take(client, rate.share(processes));
        counted.map(drop).map_err(|retry_after| QuotaExceeded {
            policy: FAILED_AUTHENTICATIONS,
            retry_after: Some(retry_after),
            detail: "Too many requests with an invalid key.".to_owned(),
        })
    }

    /// How many renditions an image of this owner may have; `None`: any number.
    pub(crate) fn max_renditions(&self, owner: Owner) -> Option<u64> {
        self.owners.limits(owner).renditions_per_image
    }
}

fn requests_rate(per_second: Option<u64>) -> Option<Rate> {
    per_second.map(|limit| Rate { quota: limit.saturating_mul(REQUESTS_WINDOW.as_secs()), window: REQUESTS_WINDOW })
}
