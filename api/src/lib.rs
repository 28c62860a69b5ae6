//! Darkroom's HTTP API: accepts images, lists them, serves their state and their renditions.
//!
//! | module | contents |
//! |---|---|
//! | `images` | the resource `/v1/images`: operations, the upload form, wire types |
//! | `keys` | the resource `/v1/keys` |
//! | `upload_tokens` | the resource `/v1/upload-tokens` |
//! | `audit` | the resource `/v1/audit` |
//! | `health` | liveness and readiness probes |
//! | `auth` | who may: from the `Authorization` header to the caller of an operation |
//! | `paging` | the parameters of lists |
//! | `formats` | file formats as wire types |
//! | `error` | `ApiError`, the one match from errors to status codes |
//! | `operation_error` | the errors of an operation, with their documentation |
//! | `spec` | the `OpenAPI` document |
//! | `critical` | tasks without which the process cannot do its work |
//! | `limits` | what clients and owners may use, and how many connections the process takes |
//! | `idempotency` | requests that may be sent again |
//! | `multipart` | the syntax of upload forms |
//! | `http` | what every request and every response has; the server |
#![forbid(unsafe_code)]

mod audit;
mod auth;
mod critical;
mod error;
mod formats;
mod health;
mod http;
mod idempotency;
mod images;
mod keys;
pub mod limits;
pub mod multipart;
mod operation_error;
mod paging;
mod spec;
mod upload_tokens;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use darkroom_queue::{Notifier, Schema};
use darkroom_shared::{
    bucket::{Bucket, BucketError},
    database::Database,
    installation::Installation,
    settings::{AccessSettings, ApiLimits, Settings, UploadLimits},
    staging::{Staging, StagingError, StagingRoom},
};
use poem::{Endpoint, EndpointExt as _, IntoEndpoint as _, Response, Route};
use poem_openapi::{OpenApi as _, OpenApiService, Tags};
use tokio::sync::Semaphore;

use crate::{
    audit::Audit,
    health::Health,
    http::{
        cross_site::AllowedOrigins,
        docs,
        middleware::{self, RequestPolicy},
        pace::{self, Pace},
        routes::Routes,
    },
    images::{Images, backlog::Backlog},
    keys::Keys,
    limits::{Limiter, report::Limits},
    upload_tokens::UploadTokens,
};
pub use crate::{
    auth::{Authenticator, InvalidToken, NoKey, Token},
    critical::CriticalTasks,
    http::server::{ConnectionLimits, ServerOptions, serve},
    spec::{json as spec_json, yaml as spec_yaml},
};

/// The connections and limits that requests are served with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// The database of the catalog and the queue.
    pub db: Database,
    /// The bucket of the renditions.
    pub bucket: Bucket,
    /// The directory or bucket where uploads wait for a worker.
    pub staging: Staging,
    /// Wakes workers after commits that enqueue jobs.
    pub notifier: Notifier,
    /// Whether the database, the bucket and staging belong together.
    pub installation: Installation,
    /// The limits of uploads.
    pub limits: UploadLimits,
    /// The lifetime of presigned URLs.
    pub presigned: Duration,
    /// How long a client may send nothing within a request's body.
    pub idle_timeout: Duration,
    /// Who may use it.
    pub access: AccessSettings,
    /// Decides who sends a request.
    pub authenticator: Arc<Authenticator>,
    /// What it takes on.
    pub api: ApiLimits,
    /// Room for uploads.
    room: Arc<StagingRoom>,
    /// Images that wait to be rendered.
    backlog: Arc<Backlog>,
    /// What clients and owners may use.
    pub limiter: Arc<Limiter>,
    /// How long the answer to a request with an `Idempotency-Key` is given again.
    idempotency: Duration,
    /// Files of dry runs that are in memory at once.
    dry_runs: Arc<Semaphore>,
    /// Whether the process is about to stop: it is not ready, but still accepts requests.
    pub stopping: Arc<AtomicBool>,
    /// The tasks whose end `/healthz` reports.
    pub critical: CriticalTasks,
}

/// Why an [`App`] cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The bucket's settings contradict each other.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Staging cannot be opened.
    #[error(transparent)]
    Staging(#[from] StagingError),
}

impl App {
    /// Opens the bucket and staging of these settings. `db` is connected already. Call
    /// [`Installation::check_and_log`] before requests are served.
    pub async fn open(db: Database, settings: &Settings) -> Result<Self, AppError> {
        let bucket = Bucket::new(&settings.bucket)?;
        let staging = Staging::open(&settings.staging, &settings.bucket.access).await?;
        let stopping = Arc::<AtomicBool>::default();
        Ok(Self {
            installation: Installation::new(db.clone(), bucket.clone(), staging.clone()),
            room: StagingRoom::new(staging.clone(), settings.api.limits.staging),
            backlog: Backlog::new(db.clone(), settings.api.limits.pending_images),
            access: settings.api.access.clone(),
            authenticator: Arc::new(Authenticator::new(db.clone(), &settings.api.access)),
            limiter: Limiter::new(db.clone(), settings.quotas.clone()),
            idempotency: settings.quotas.idempotency,
            dry_runs: Arc::new(Semaphore::new(images::DRY_RUNS)),
            api: settings.api.limits.clone(),
            notifier: Notifier::start(Schema::default(), &db.pool().connect_options(), settings.database.pooler),
            db,
            bucket,
            staging,
            limits: settings.limits,
            presigned: settings.bucket.presigned,
            idle_timeout: pace::IDLE_TIMEOUT,
            critical: CriticalTasks::new(Arc::clone(&stopping)),
            stopping,
        })
    }
}

#[derive(Tags)]
enum Tag {
    /// Upload images, follow their rendering, download the renditions.
    Images,
    /// API keys, upload tokens, and the audit log of what was done with keys.
    Access,
    /// What the caller may use.
    Limits,
    /// For operators and orchestrators of this service.
    Service,
}

/// The documented resources.
type Apis = (Images, UploadTokens, Limits, Keys, Audit, Health);

/// Everything that the api serves, for [`serve`].
pub fn endpoint(app: &App) -> impl Endpoint<Output = Response> + 'static {
    let apis = (
        Images::new(app.clone()),
        UploadTokens::new(app.clone()),
        Limits::new(app),
        Keys::new(app.clone()),
        Audit::new(app.clone()),
        Health::new(app.clone()),
    );
    let service = Arc::new(OpenApiService::new(apis, "", "").into_endpoint());
    let routes = Arc::new(Routes::new(Apis::meta()));
    // Path by path, because a service nested at `/` would also match the documentation's paths.
    let router = routes.patterns().fold(Route::new(), |router, path| router.at(path, Arc::clone(&service)));
    let router = docs::add(router).data(Arc::clone(&app.authenticator)).data(Arc::clone(&app.limiter));
    with_middleware(router, routes, app)
}

/// The probes alone, for a listener of their own.
pub fn health_endpoint(app: &App) -> impl Endpoint<Output = Response> + 'static {
    let service = Arc::new(OpenApiService::new(Health::new(app.clone()), "", "").into_endpoint());
    let routes = Arc::new(Routes::new(Health::meta()));
    let router = routes.patterns().fold(Route::new(), |router, path| router.at(path, Arc::clone(&service)));
    with_middleware(router, routes, app)
}

fn with_middleware(
    router: impl Endpoint + 'static,
    routes: Arc<Routes>,
    app: &App,
) -> impl Endpoint<Output = Response> + 'static {
    let policy = Arc::new(RequestPolicy {
        pace: Pace::new(app.idle_timeout, app.api.min_bytes_per_second),
        origins: AllowedOrigins::new(app.access.origins.clone()),
    });
    router.around(move |router, request| middleware::handle(router, Arc::clone(&routes), request, Arc::clone(&policy)))
}
