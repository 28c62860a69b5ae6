//! Darkroom's HTTP API: accepts images, lists them, serves their state and their renditions.
//!
//! | module | contents |
//! |---|---|
//! | `images` | the resource `/v1/images`: operations, the upload form, wire types |
//! | `health` | liveness and readiness probes |
//! | `formats` | file formats as wire types |
//! | `error` | `ApiError`, the one match from errors to status codes |
//! | `operation_error` | the errors of an operation, with their documentation |
//! | `spec` | the `OpenAPI` document |
//! | `http` | what every request and every response has; the server |
#![forbid(unsafe_code)]

mod error;
mod formats;
mod health;
mod http;
mod images;
mod operation_error;
mod spec;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use darkroom_shared::{
    bucket::{Bucket, BucketError},
    database::Database,
    settings::{Settings, UploadLimits},
    staging::{Staging, StagingError},
};
use poem::{Endpoint, EndpointExt as _, IntoEndpoint as _, Response, Route};
use poem_openapi::{OpenApi as _, OpenApiService, Tags};

use crate::{
    health::Health,
    http::{body, docs, middleware, routes::Routes},
    images::Images,
};
pub use crate::{
    http::server::serve,
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
    /// The limits of uploads.
    pub limits: UploadLimits,
    /// The lifetime of presigned URLs.
    pub presigned: Duration,
    /// How long a client may send nothing within a request's body.
    pub idle_timeout: Duration,
    /// Whether the process is about to stop: it is not ready, but still accepts requests.
    pub stopping: Arc<AtomicBool>,
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
    /// Opens the bucket and staging of these settings. `db` is connected already.
    pub async fn open(db: Database, settings: &Settings) -> Result<Self, AppError> {
        Ok(Self {
            db,
            bucket: Bucket::new(&settings.bucket)?,
            staging: Staging::open(&settings.staging, &settings.bucket.access).await?,
            limits: settings.limits,
            presigned: settings.bucket.presigned,
            idle_timeout: body::IDLE_TIMEOUT,
            stopping: Arc::default(),
        })
    }
}

#[derive(Tags)]
enum Tag {
    /// Upload images, follow their rendering, download the renditions.
    Images,
    /// For operators and orchestrators of this service.
    Service,
}

/// The documented resources.
type Apis = (Images, Health);

/// Everything that the api serves, for [`serve`].
pub fn endpoint(app: &App) -> impl Endpoint<Output = Response> + 'static {
    let apis = (Images::new(app.clone()), Health::new(app.clone()));
    let service = Arc::new(OpenApiService::new(apis, "", "").into_endpoint());
    let routes = Arc::new(Routes::new(Apis::meta()));
    // Path by path, because a service nested at `/` would also match the documentation's paths.
    let router = routes.patterns().fold(Route::new(), |router, path| router.at(path, Arc::clone(&service)));
    let idle_timeout = app.idle_timeout;
    docs::add(router)
        .around(move |router, request| middleware::handle(router, Arc::clone(&routes), request, idle_timeout))
}
