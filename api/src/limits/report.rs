//! `GET /v1/limits`: every limit in force for the caller, and what it uses of it.

use std::{sync::Arc, time::Duration};

use darkroom_container::header::HeaderLimits;
use darkroom_shared::{quotas::OwnerLimits, settings::UploadLimits};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, payload::Json};

use super::{
    Limiter,
    owners::{Counts, age},
    policy::{
        BYTES, FAILED_AUTHENTICATIONS, PENDING_IMAGES, QUEUE_AGE, RENDITIONS, REQUESTS, STORED_BYTES, STORED_IMAGES,
    },
    requests_rate,
};
use crate::{
    App, Tag,
    auth::scheme::Read,
    http::problem::{self, ProblemType},
    operation_error::{DocumentedProblems, Result},
};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "LimitUnit", rename_all = "lowercase")]
pub(crate) enum Unit {
    Requests,
    Bytes,
    Images,
    Renditions,
    Pixels,
    Frames,
    Seconds,
}

/// To whom or what a limit applies.
///
/// `client`: of the key of the request, or without a key of the address. `owner`: of all keys of the owner. `image`: of each
/// image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "LimitScope", rename_all = "lowercase")]
pub(crate) enum Scope {
    Client,
    Owner,
    Image,
}

/// A limit.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct Limit {
    /// The name, as in `violated-policies` of a problem document and in the header `RateLimit-Policy`.
    name: String,
    /// Whose use it counts.
    scope: Scope,
    /// What it counts.
    unit: Unit,
    /// How many are allowed; absent: any number.
    #[oai(rename = "limit")]
    max: Option<u64>,
    /// Seconds in which so many are allowed; absent: at any time.
    window_seconds: Option<u64>,
    /// How many are used, at most a few seconds ago.
    used: Option<u64>,
}

/// The limits in force.
#[derive(Clone, Debug, Object)]
pub(crate) struct LimitList {
    /// Every limit of requests and uploads of the caller.
    items: Vec<Limit>,
    /// How long the answer to a request with an `Idempotency-Key` is given again, in seconds.
    idempotency_seconds: u64,
}

#[derive(ApiResponse)]
enum LimitsResponse {
    /// The limits.
    #[oai(status = 200, content_type = "application/json")]
    Limits(Json<LimitList>),
}

struct LimitsProblems;

impl DocumentedProblems for LimitsProblems {
    const LIST: &'static [(&'static ProblemType, &'static str)] = &[
        (&problem::QUOTA_EXCEEDED, "The client has sent too many requests."),
        (&problem::UNAVAILABLE, "The service is temporarily unavailable, or has too much to do."),
        (&problem::INTERNAL_ERROR, "An internal error, which has been logged."),
    ];
}

/// The resource `/v1/limits`.
pub(crate) struct Limits {
    limiter: Arc<Limiter>,
    uploads: UploadLimits,
}

impl Limits {
    pub(crate) fn new(app: &App) -> Self {
        Self { limiter: Arc::clone(&app.limiter), uploads: app.limits }
    }
}

#[OpenApi(prefix_path = "/v1/limits", tag = "Tag::Limits")]
impl Limits {
    /// Get limits
    ///
    /// Every limit in force for the caller, and what the caller uses of it. Beyond a limit of the caller the status is 429, with
    /// the limit's name in `violated-policies`; a file beyond a limit of files is refused with 413, 415 or 422.
    #[oai(path = "/", method = "get", operation_id = "get_limits")]
    async fn get(&self, Read(caller): Read) -> Result<LimitsResponse, LimitsProblems> {
        self.limiter.ensure_known(caller.owner).await;
        let known = self.limiter.owners.known(caller.owner);
        let limits = known.map_or_else(|| self.limiter.owners.limits(caller.owner), |known| known.limits);
        let waits = known.map(|known| known.waiting_since.map_or(Duration::ZERO, age));
        let settings = &self.limiter.settings;
        let mut items = of_owner(&limits, known.map(|known| known.counts).as_ref());
        items.extend([
            Limit {
                window_seconds: Some(super::FAILURES_WINDOW.as_secs()),
                ..limit(FAILED_AUTHENTICATIONS, Scope::Client, Unit::Requests, settings.failed_authentications)
            },
            Limit {
                used: waits.map(|waits| waits.as_secs()),
                ..limit(QUEUE_AGE, Scope::Owner, Unit::Seconds, settings.queue_age.map(|age| age.as_secs()))
            },
        ]);
        items.extend(of_file(self.uploads));
        let idempotency_seconds = settings.idempotency.as_secs();
        Ok(LimitsResponse::Limits(Json(LimitList { items, idempotency_seconds })))
    }
}

fn limit(name: &str, scope: Scope, unit: Unit, max: Option<u64>) -> Limit {
    Limit { name: name.to_owned(), scope, unit, max, window_seconds: None, used: None }
}

fn of_owner(limits: &OwnerLimits, used: Option<&Counts>) -> Vec<Limit> {
    let rate = requests_rate(limits.requests_per_second);
    let used = |count: fn(&Counts) -> u64| used.map(count);
    vec![
        Limit {
            window_seconds: Some(super::REQUESTS_WINDOW.as_secs()),
            ..limit(REQUESTS, Scope::Client, Unit::Requests, rate.map(|rate| rate.quota))
        },
        Limit {
            window_seconds: Some(3600),
            used: used(|counts| counts.bytes_in),
            ..limit(BYTES, Scope::Owner, Unit::Bytes, limits.bytes_per_hour)
        },
        Limit {
            used: used(|counts| counts.pending_images),
            ..limit(PENDING_IMAGES, Scope::Owner, Unit::Images, limits.pending_images)
        },
        Limit {
            used: used(|counts| counts.stored_images),
            ..limit(STORED_IMAGES, Scope::Owner, Unit::Images, limits.stored_images)
        },
        Limit {
            used: used(|counts| counts.stored_bytes),
            ..limit(STORED_BYTES, Scope::Owner, Unit::Bytes, limits.stored_bytes)
        },
        limit(RENDITIONS, Scope::Image, Unit::Renditions, limits.renditions_per_image),
    ]
}

fn of_file(uploads: UploadLimits) -> [Limit; 5] {
    let header = HeaderLimits::from(uploads);
    [
        limit("file-bytes", Scope::Image, Unit::Bytes, Some(uploads.bytes)),
        limit("pixels", Scope::Image, Unit::Pixels, Some(uploads.pixels)),
        limit("frames", Scope::Image, Unit::Frames, Some(uploads.frames.into())),
        limit("width", Scope::Image, Unit::Pixels, Some(header.width.into())),
        limit("height", Scope::Image, Unit::Pixels, Some(header.height.into())),
    ]
}
