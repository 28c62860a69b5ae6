//! Settings: what each owner and each key may use, and how long answers are remembered.

use std::time::Duration;

use super::{
    parse::non_zero,
    reader::Reader,
    setting::{Setting, declare_settings},
};
use crate::quotas::OwnerLimits;

declare_settings! {
    MAX_REQUESTS_PER_SECOND = Setting::with_default("1000", "Maximum requests per second of a key, or of an address without a key, over 10 seconds and all processes; 0 or none: no limit. This and the following limits may differ for single owners: see docs/api.md.");
    MAX_BYTES_PER_HOUR = Setting::with_default("none", "Maximum bytes of uploads of an owner in an hour; 0 or none: no limit.");
    MAX_PENDING_IMAGES_PER_OWNER = Setting::with_default("500000", "Maximum images of an owner that are queued or processing, so that no owner fills the queue alone; 0 or none: no limit.");
    MAX_STORED_IMAGES = Setting::with_default("none", "Maximum images of an owner; 0 or none: no limit.");
    MAX_STORED_BYTES = Setting::with_default("none", "Maximum bytes of the files of an owner's images and of their renditions together; 0 or none: no limit.");
    MAX_RENDITIONS_PER_IMAGE = Setting::with_default("100", "Maximum renditions of an image; 0 or none: no limit.");
    MAX_FAILED_AUTHENTICATIONS = Setting::with_default("60", "Maximum requests per minute of an address with an invalid key; further ones are answered 429; 0 or none: no limit.");
    MAX_QUEUE_AGE_SECONDS = Setting::with_default("none", "While an image of an owner waits longer than this for its first attempt, the owner's uploads are refused with 503, until none waits longer than half of it; 0 or none: no limit, as a long queue may be what is wanted.");
    IDEMPOTENCY_HOURS = Setting::with_default("24", "How long the answer to a request with an Idempotency-Key is given again, 1 to 8760.");
}

/// What each owner and each key may use. `None`: no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaSettings {
    /// The limits of owners without their own.
    pub owner: OwnerLimits,
    /// Requests with an invalid key per minute and address.
    pub failed_authentications: Option<u64>,
    /// How long an image may wait for its first attempt before uploads are refused.
    pub queue_age: Option<Duration>,
    /// How long the answer to a request with an `Idempotency-Key` is given again.
    pub idempotency: Duration,
}

impl QuotaSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let requests_per_second = limit(reader, &MAX_REQUESTS_PER_SECOND, 1_000_000);
        let bytes_per_hour = limit(reader, &MAX_BYTES_PER_HOUR, 1 << 60);
        let pending_images = limit(reader, &MAX_PENDING_IMAGES_PER_OWNER, 1_000_000_000);
        let stored_images = limit(reader, &MAX_STORED_IMAGES, 1 << 40);
        let stored_bytes = limit(reader, &MAX_STORED_BYTES, 1 << 60);
        let renditions_per_image = limit(reader, &MAX_RENDITIONS_PER_IMAGE, 1_000_000);
        let failed_authentications = limit(reader, &MAX_FAILED_AUTHENTICATIONS, 1_000_000);
        let queue_age = limit(reader, &MAX_QUEUE_AGE_SECONDS, 86_400);
        let idempotency_hours = reader.number(&IDEMPOTENCY_HOURS, 1, 8760);
        Some(Self {
            owner: OwnerLimits {
                requests_per_second: non_zero(requests_per_second?),
                bytes_per_hour: non_zero(bytes_per_hour?),
                pending_images: non_zero(pending_images?),
                stored_images: non_zero(stored_images?),
                stored_bytes: non_zero(stored_bytes?),
                renditions_per_image: non_zero(renditions_per_image?),
            },
            failed_authentications: non_zero(failed_authentications?),
            queue_age: non_zero(queue_age?).map(Duration::from_secs),
            idempotency: Duration::from_hours(idempotency_hours?),
        })
    }
}

/// A whole number up to `max`; 0: no limit.
fn limit(reader: &mut Reader<'_>, setting: &Setting, max: u64) -> Option<u64> {
    reader.required(setting, |text| match text.parse() {
        _ if text == "none" => Ok(0),
        Ok(limit) if limit <= max => Ok(limit),
        _ => Err(format!("none, or a whole number from 0 to {max}")),
    })
}
