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
//! | `routes` | which methods work where |
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

use std::{collections::HashMap, time::Duration};

use darkroom_shared::{
    bucket::{Bucket, BucketError},
    config::{Limits, Settings},
    staging::{Staging, StagingError},
};
use poem::{Endpoint, EndpointExt as _, Response, Route, endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    ExtraHeader, LicenseObject, OpenApi, OpenApiService, ServerObject, Tags,
    registry::{MetaApi, Registry},
};
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
    pub limits: Limits,
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
    Health,
}

/// Everything documented and routed.
type Apis = (Images, Health);

/// What [`Apis`] document, without the state that serving them takes.
struct Documented;

impl OpenApi for Documented {
    fn meta() -> Vec<MetaApi> {
        Apis::meta()
    }

    fn register(registry: &mut Registry) {
        Apis::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

const DESCRIPTION: &str = "\
`POST /v1/images` takes a picture and answers `202` at once. A worker then makes small, correct, fast-loading \
renditions of it in an S3 bucket; `GET /v1/images/{id}` tells when it is done and where they are.

Every error is a problem document (RFC 9457, `application/problem+json`). A request may carry an `X-Request-Id`; the \
answer does.";

fn service<T: OpenApi>(apis: T) -> OpenApiService<T, ()> {
    let request_id =
        ExtraHeader::new("X-Request-Id").description("Names this request in the logs: yours, or a new one.");
    OpenApiService::new(apis, "Darkroom", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("GPL-3.0-or-later").url("https://www.gnu.org/licenses/gpl-3.0.html"))
        .server(ServerObject::new("/").description("This server"))
        .extra_response_header::<String, _>(request_id)
}

/// The spec in JSON.
pub fn spec_json() -> String {
    service(Documented).spec() + "\n"
}

/// The spec in YAML, as `openapi.yaml` has it.
pub fn spec_yaml() -> String {
    service(Documented).spec_yaml()
}

/// Everything the api serves, for [`serve::serve`].
pub fn endpoint(app: &App) -> impl Endpoint<Output = Response> + 'static {
    let service = service((Images::new(app.clone()), Health::new(app.clone())));
    let patience = app.patience;
    docs::add(Route::new())
        .nest_no_strip("/", service)
        .around(move |routes, request| edge::serve(routes, request, patience))
}
