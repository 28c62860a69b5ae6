//! `darkroom-dev bucket -- command`: runs a command with a temporary S3 server.

use std::{ffi::OsString, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use darkroom_dev::{
    bucket::{Fault, Options, REGION, Server},
    postgres::random_password,
};

use crate::command::{self, Signals};

/// The bucket.
const NAME: &str = "darkroom";

/// Runs the command, prints how many requests the server has had, and returns the command's exit code. The objects are removed
/// when this returns. Every request is delayed by `latency`.
pub(crate) async fn run_with_bucket(latency: Duration, command: &[OsString]) -> Result<ExitCode> {
    let signals = Signals::listen()?;
    let directory = tempfile::Builder::new().prefix("darkroom-").tempdir().context("cannot keep objects")?;
    let server = Server::start(Options {
        root: directory.path().to_path_buf(),
        port: None,
        key_id: "bench".to_owned(),
        secret: random_password(),
    })
    .await?;
    server.create_bucket(NAME)?;
    if !latency.is_zero() {
        server.inject(Fault::Slow(latency));
    }
    let env = [
        ("BUCKET_URL", format!("s3://{NAME}")),
        ("AWS_ENDPOINT_URL", server.endpoint()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", server.key_id().to_owned()),
        ("AWS_SECRET_ACCESS_KEY", server.secret().to_owned()),
    ];
    let code = command::run(command, &env, signals, std::future::pending()).await?;
    println!("requests={}", server.requests());
    Ok(code)
}
