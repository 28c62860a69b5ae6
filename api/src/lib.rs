//! Darkroom's HTTP API. The map:
//!
//! | module | what it holds |
//! |---|---|
//! | `images` | upload, list, look at and delete images; their wire types |
//! | `health` | liveness and readiness |
//! | `docs` | the spec, Swagger UI, the explanations of problems |
//! | `error`, `problem` | what went wrong, and how the client is told |
//! | `edge` | what every request and every answer has |
//! | `body` | a request's body under guard |
//! | `routes` | which paths there are, and which methods work there |
//! | `spec` | the spec, put in order for tools |
//! | [`serve`] | the HTTP server |

mod body;
mod docs;
mod edge;
mod error;
mod health;
mod images;
mod problem;
mod routes;
pub mod serve;
mod spec;

use std::{sync::Arc, time::Duration};

use darkroom_shared::{
    bucket::{Bucket, BucketError},
    settings::{Settings, UploadLimits},
    staging::{Staging, StagingError},
};
use poem::{Endpoint, EndpointExt as _, IntoEndpoint as _, Response, Route};
use poem_openapi::{OpenApiService, Tags};
use sqlx::PgPool;

use crate::{health::Health, images::Images};

/// What requests are served with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// The catalog and the queue.
    pub db: PgPool,
    /// Where renditions lie.
    pub bucket: Bucket,
    /// Where uploads wait.
    pub staging: Staging,
    /// What is accepted.
    pub limits: UploadLimits,
    /// How long a presigned URL works.
    pub presigned: Duration,
    /// How long a client may send nothing within a request.
    pub patience: Duration,
}

/// Why an [`App`] cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The bucket's settings do not fit together.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Staging cannot be opened.
    #[error(transparent)]
    Staging(#[from] StagingError),
}

impl App {
    /// Opens what the settings name, over a pool that is connected already.
    pub async fn open(db: PgPool, settings: &Settings) -> Result<Self, AppError> {
        Ok(Self {
            db,
            bucket: Bucket::new(&settings.bucket)?,
            staging: Staging::open(&settings.staging, &settings.bucket.access).await?,
            limits: settings.limits,
            presigned: settings.bucket.presigned,
            patience: body::PATIENCE,
        })
    }
}

#[derive(Tags)]
enum Tag {
    /// Upload pictures, follow their rendering, fetch the renditions.
    Images,
    /// For whatever runs this service.
    Service,
}

/// Everything documented and routed.
type Apis = (Images, Health);

/// The spec in JSON.
pub fn spec_json() -> String {
    spec::documented().spec() + "\n"
}

/// The spec in YAML, as `openapi.yaml` has it.
pub fn spec_yaml() -> String {
    spec::documented().spec_yaml()
}

/// Everything the api serves, for [`serve::serve`].
pub fn endpoint(app: &App) -> impl Endpoint<Output = Response> + 'static {
    let apis = (Images::new(app.clone()), Health::new(app.clone()));
    let service = Arc::new(OpenApiService::new(apis, "", "").into_endpoint());
    // Path by path and not as a whole below `/`, which would hide what else is there.
    let routes = routes::patterns().fold(Route::new(), |route, path| route.at(path, Arc::clone(&service)));
    let patience = app.patience;
    docs::add(routes).around(move |routes, request| edge::serve(routes, request, patience))
}
