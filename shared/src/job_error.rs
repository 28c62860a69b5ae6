//! The errors of this crate as errors of a job: all of them may pass, so the job is tried again.

use darkroom_queue::JobError;

use crate::{bucket::BucketError, catalog::CatalogError, jobs::ReviveError, staging::StagingError};

macro_rules! retried {
    ($($error:ty),+) => {
        $(impl From<$error> for JobError {
            fn from(error: $error) -> Self {
                Self::retry(error)
            }
        })+
    };
}

retried!(BucketError, CatalogError, ReviveError, StagingError);
