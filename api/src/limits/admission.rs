//! Whether an owner may upload, decided before the body is read, and what an upload then uses.

use std::{sync::Arc, time::Duration};

use chrono::{Timelike as _, Utc};
use darkroom_model::Owner;
use darkroom_shared::quotas::OwnerLimits;

use super::{
    Limiter,
    fields::{Quota, Quotas},
    owners::Counts,
    policy::{BYTES, PENDING_IMAGES, QuotaExceeded, STORED_BYTES, STORED_IMAGES},
};
use crate::error::ApiError;

const HOUR: Duration = Duration::from_hours(1);
/// `Retry-After` of an upload beyond the pending images: the workers make room all the time.
const RETRY_PENDING: Duration = Duration::from_secs(5);

/// What an upload may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An image.
    Image,
    /// Nothing that is stored: a dry run, or a request that was answered before.
    Nothing,
}

/// An upload that was let in. Dropping it gives back what it has not used.
#[derive(Debug)]
pub(crate) struct Admission {
    limiter: Arc<Limiter>,
    owner: Owner,
    reserved: Counts,
    used: Counts,
}

impl Admission {
    /// Bytes were received.
    pub(crate) fn receive(&mut self, bytes: usize) {
        self.used.bytes_in += bytes as u64;
    }

    /// It has become an image of this size.
    pub(crate) fn accept(mut self, bytes: u64) {
        self.used = self.used.plus(Counts::of_image(bytes));
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.limiter.owners.settle(self.owner, self.reserved, self.used);
    }
}

/// What an upload of this length would use.
pub(super) fn needed(length: u64, purpose: Purpose) -> Counts {
    let stored = if purpose == Purpose::Image { Counts::of_image(length) } else { Counts::default() };
    Counts { bytes_in: length, ..stored }
}

/// Lets an upload in, with these counts so far.
///
/// # Errors
/// It would exceed a limit of the owner.
pub(super) fn check(limits: &OwnerLimits, used: &Counts, more: &Counts) -> Result<(), QuotaExceeded> {
    for (policy, limit, used, more, retry_after, unit) in [
        (
            BYTES,
            limits.bytes_per_hour,
            used.bytes_in,
            more.bytes_in,
            Some(rest_of_hour()),
            "bytes of uploads in an hour",
        ),
        (
            PENDING_IMAGES,
            limits.pending_images,
            used.pending_images,
            more.pending_images,
            Some(RETRY_PENDING),
            "images that wait to be rendered",
        ),
        (STORED_IMAGES, limits.stored_images, used.stored_images, more.stored_images, None, "images"),
        (
            STORED_BYTES,
            limits.stored_bytes,
            used.stored_bytes,
            more.stored_bytes,
            None,
            "bytes of files and renditions",
        ),
    ] {
        if let Some(limit) = limit
            && more > 0
            && used.saturating_add(more) > limit
        {
            let detail = format!("At most {limit} {unit} are allowed; {used} are used.");
            return Err(QuotaExceeded { policy, retry_after, detail });
        }
    }
    Ok(())
}

/// Time to the next hour of UTC.
fn rest_of_hour() -> Duration {
    let now = Utc::now();
    HOUR.saturating_sub(Duration::from_secs((now.minute() * 60 + now.second()).into()))
}

impl Limiter {
    /// Lets an upload of this owner in, or refuses it. `length`: the `Content-Length` of the request; without one, a file is
    /// counted when it has arrived.
    ///
    /// # Errors
    /// It exceeds a limit, or the owner's images wait too long.
    pub(crate) async fn admit_upload(
        self: &Arc<Self>,
        owner: Owner,
        length: Option<u64>,
        purpose: Purpose,
        quotas: &Quotas,
    ) -> Result<Admission, ApiError> {
        self.ensure_known(owner).await;
        if purpose == Purpose::Image
            && let Some(max) = self.settings.queue_age
            && self.owners.is_held_back(owner, max)
        {
            return Err(ApiError::ReducedCapacity(
                "The images that were uploaded before wait too long. Try again later.",
            ));
        }
        // Without a length it needs room for one byte.
        let more = needed(length.unwrap_or(0).max(1), purpose);
        let reserved = self.owners.reserve(owner, |limits, used| {
            quotas.add_bytes(limits, used);
            check(limits, used, &more).map(|()| more)
        })?;
        Ok(Admission { limiter: Arc::clone(self), owner, reserved, used: Counts::default() })
    }
}

impl Quotas {
    /// The bytes of an hour, if they are limited.
    fn add_bytes(&self, limits: &OwnerLimits, used: &Counts) {
        if let Some(units) = limits.bytes_per_hour {
            self.add(Quota {
                name: BYTES,
                unit: Some("content-bytes"),
                units,
                window: HOUR,
                remaining: units.saturating_sub(used.bytes_in),
                more_in: rest_of_hour(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(limits: OwnerLimits, used: Counts, length: u64, purpose: Purpose) -> Option<&'static str> {
        check(&limits, &used, &needed(length, purpose)).err().map(|exceeded| exceeded.policy)
    }

    #[test]
    fn an_upload_is_refused_by_the_first_limit_that_it_would_exceed() {
        let none = OwnerLimits::default();
        let used = Counts { bytes_in: 90, pending_images: 3, stored_images: 3, stored_bytes: 90 };
        assert_eq!(refused(none, used, u64::MAX, Purpose::Image), None);
        for (limits, policy) in [
            (OwnerLimits { bytes_per_hour: Some(99), ..none }, BYTES),
            (OwnerLimits { pending_images: Some(3), ..none }, PENDING_IMAGES),
            (OwnerLimits { stored_images: Some(3), ..none }, STORED_IMAGES),
            (OwnerLimits { stored_bytes: Some(99), ..none }, STORED_BYTES),
        ] {
            assert_eq!(refused(limits, used, 10, Purpose::Image), Some(policy));
        }
        let exact = OwnerLimits {
            bytes_per_hour: Some(100),
            pending_images: Some(4),
            stored_images: Some(4),
            stored_bytes: Some(100),
            ..none
        };
        assert_eq!(refused(exact, used, 10, Purpose::Image), None);
    }

    #[test]
    fn what_stores_nothing_is_limited_by_its_bytes_alone() {
        let full = OwnerLimits {
            stored_images: Some(1),
            stored_bytes: Some(1),
            pending_images: Some(1),
            ..Default::default()
        };
        let used = Counts { bytes_in: 5, pending_images: 1, stored_images: 1, stored_bytes: 1 };
        assert_eq!(refused(full, used, 10, Purpose::Nothing), None);
        let limits = OwnerLimits { bytes_per_hour: Some(14), ..full };
        assert_eq!(refused(limits, used, 10, Purpose::Nothing), Some(BYTES));
    }
}
