//! Fixtures of tests: a new database, a new bucket, an HTTP client, or a whole [`stack`].

pub mod hostile;
pub mod stack;
pub mod wire;

use std::env;

use tempfile::TempDir;
use uuid::Uuid;

pub use crate::http::client as http;
use crate::{
    bucket::{Options, REGION, Server},
    postgres,
};

/// Names the cluster of a test run: the URL of any database in it, of a user who may create databases.
pub const DATABASE_VARIABLE: &str = "DARKROOM_TEST_DATABASE_URL";

/// A new, empty database on the cluster that [`DATABASE_VARIABLE`] names, and so its URL. Nothing is migrated. It stays
/// until the cluster is removed, which is when the test run ends.
///
/// # Panics
/// Where there is no cluster; the text says how to run tests with one.
pub async fn database() -> String {
    let Ok(cluster) = env::var(DATABASE_VARIABLE) else {
        panic!(
            "{DATABASE_VARIABLE} is not set. Run the tests with `make test`, or some of them with \
             `cargo run -p darkroom-dev -- postgres -- cargo test …`"
        );
    };
    let name = format!("test_{}", Uuid::now_v7().simple());
    if let Err(error) = postgres::create_database(&cluster, &name).await {
        panic!("no database for this test: {error:#}");
    }
    let mut url = url::Url::parse(&cluster).unwrap_or_else(|error| panic!("{DATABASE_VARIABLE} is no URL: {error}"));
    url.set_path(&name);
    url.into()
}

/// An S3 server with one bucket, on a port of its own. Dropping it removes the objects.
#[derive(Debug)]
pub struct Bucket {
    /// The server. To stop and restart it, take it out with [`Self::into_parts`].
    pub server: Server,
    /// The directory of the objects.
    pub dir: TempDir,
    /// The bucket's name.
    pub name: String,
}

impl Bucket {
    /// The settings of this bucket, as environment variables.
    pub fn env(&self) -> [(&'static str, String); 5] {
        [
            ("BUCKET_URL", format!("s3://{}", self.name)),
            ("AWS_ENDPOINT_URL", self.server.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", self.server.key_id().to_owned()),
            ("AWS_SECRET_ACCESS_KEY", self.server.secret().to_owned()),
        ]
    }

    /// The server and the directory, for tests that stop and restart the server: `server.stop()` returns the options
    /// for `Server::start`. Dropping the directory removes the objects.
    pub fn into_parts(self) -> (Server, TempDir) {
        (self.server, self.dir)
    }
}

/// A new S3 server with one empty bucket, in the tokio runtime of the calling test.
///
/// # Panics
/// The server cannot be started.
pub async fn bucket() -> Bucket {
    let dir = tempfile::Builder::new().prefix("darkroom-").tempdir().expect("a temporary directory");
    let options = Options {
        root: dir.path().to_path_buf(),
        port: None,
        key_id: "darkroom-test".to_owned(),
        secret: postgres::random_password(),
    };
    let server = Server::start(options).await.unwrap_or_else(|error| panic!("no S3 server for this test: {error:#}"));
    let name = "pictures".to_owned();
    server.create_bucket(&name).unwrap_or_else(|error| panic!("no bucket for this test: {error:#}"));
    Bucket { server, dir, name }
}
