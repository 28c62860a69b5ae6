//! The addresses and settings of a running stack, in `DATA_DIR/stack.json` while it runs.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use darkroom_dev::bucket::REGION;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    backends::{Backends, NAME},
    data::{self, Data, STAGING},
    terminal::Terminal,
};

/// The settings of a stack, for every process that uses it.
pub(crate) struct Stack {
    /// `http://127.0.0.1:<port>`
    pub(crate) api: String,
    pub(super) env: Vec<(&'static str, String)>,
    /// Has an API key with all scopes, once the api has made it. Mode 0600.
    pub(super) key_file: PathBuf,
    file: PathBuf,
    staging: PathBuf,
    began: Instant,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved {
    /// `http://127.0.0.1:<port>`
    pub(crate) api: String,
    /// An API key with all scopes.
    pub(crate) key: String,
    env: Vec<(String, String)>,
}

impl Stack {
    pub(super) fn new(data: &Data, backends: &Backends, api_port: u16, began: Instant) -> Self {
        let address = format!("127.0.0.1:{api_port}");
        let staging = data.dir().join(STAGING);
        let env = vec![
            ("DATABASE_URL", backends.database_url.clone()),
            ("BUCKET_URL", format!("s3://{NAME}")),
            ("AWS_ENDPOINT_URL", backends.server.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", backends.server.key_id().to_owned()),
            ("AWS_SECRET_ACCESS_KEY", backends.server.secret().to_owned()),
            ("STAGING_URL", format!("file://{}", staging.display())),
            ("BIND", address.clone()),
        ];
        let [key_file, file] = ["api-key", "stack.json"].map(|name| data.dir().join(name));
        Self { api: format!("http://{address}"), env, key_file, file, staging, began }
    }

    /// Prints the addresses, and saves them for the other commands.
    pub(super) fn announce(&self, key: &str, terminal: &Terminal) -> Result<()> {
        let env = self.env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let saved = Saved { api: self.api.clone(), key: key.to_owned(), env };
        data::write_private(&self.file, &serde_json::to_string_pretty(&saved)?)
            .with_context(|| format!("cannot write {}", self.file.display()))?;
        let value = |wanted| self.env.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value.as_str());
        let api = &self.api;
        terminal.print("darkroom", &format!("ready after {:.1} s", self.began.elapsed().as_secs_f64()));
        for (what, place) in [
            ("Swagger UI", format!("{api}/docs")),
            ("OpenAPI", format!("{api}/openapi.yaml")),
            ("API key", format!("{key}  in {}", self.key_file.display())),
            ("bucket", format!("{} at {}", value("BUCKET_URL"), value("AWS_ENDPOINT_URL"))),
            ("S3 key", format!("{}  secret {}", value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"))),
            ("staging", self.staging.display().to_string()),
            ("next", "`make demo` and `make env` in another terminal; Ctrl-C stops everything".to_owned()),
        ] {
            terminal.print("darkroom", &format!("  {what:10}  {place}"));
        }
        Ok(())
    }

    /// Removes the saved addresses.
    pub(super) fn forget(&self) {
        // A file that remains is ignored without the lock.
        let _ = fs::remove_file(&self.file);
    }
}

/// Prints the running stack's settings for a shell.
pub(crate) fn print_env() -> Result<ExitCode> {
    let Saved { api, key, env } = running()?;
    for (name, value) in env.into_iter().chain([("DARKROOM_URL".to_owned(), api), ("DARKROOM_KEY".to_owned(), key)]) {
        println!("export {name}='{}'", value.replace('\'', r"'\''"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The running stack.
pub(crate) fn running() -> Result<Saved> {
    let dir = data::directory()?;
    let file = dir.join("stack.json");
    if !data::in_use(&dir) || !file.exists() {
        bail!("nothing runs on {}: start it with `make run`, and wait until it is ready", dir.display());
    }
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
}
