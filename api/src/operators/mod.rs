//! Commands for operators: `darkroom-api doctor` and `darkroom-api adopt` here, `keys`, `owners` and `audit` in files of their own.

pub(crate) mod access;
pub(crate) mod keys;

use std::time::Duration;

use darkroom_api::App;
use darkroom_shared::{
    database,
    installation::{Adoption, Store, StoreState},
    settings::Settings,
};
use tokio::time::timeout;

/// Maximum time of one check.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Prints the result of every check.
///
/// # Errors
/// A check failed.
pub(crate) async fn doctor(settings: Settings) -> anyhow::Result<()> {
    let mut doctor = Doctor { failed: 0 };
    let Some(db) = doctor.check("postgres", database::connect(&settings.database)).await else {
        anyhow::bail!("nothing else can be checked without Postgres");
    };
    let verify = db.run(async |connection| database::verify(connection).await);
    doctor.check("migrations", verify).await;
    let App { bucket, staging, installation, .. } = App::open(db, &settings).await?;
    doctor.check("bucket", bucket.probe()).await;
    doctor.check("staging", staging.probe()).await;
    doctor.check("installation of the bucket", installation.check(Store::Bucket)).await;
    doctor.check("installation of staging", installation.check(Store::Staging)).await;
    anyhow::ensure!(doctor.failed == 0, "{} checks failed", doctor.failed);
    Ok(())
}

struct Doctor {
    failed: u32,
}

impl Doctor {
    /// Prints the result of a check; `None`: it failed.
    async fn check<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        check: impl Future<Output = Result<T, E>>,
    ) -> Option<T> {
        let error = match timeout(TIMEOUT, check).await {
            Ok(Ok(value)) => {
                println!("ok      {name}");
                return Some(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no response within {} s", TIMEOUT.as_secs()),
        };
        println!("FAILED  {name}: {error}");
        self.failed += 1;
        None
    }
}

/// Prints what an adoption changes, and adopts if `yes`.
///
/// # Errors
/// The database, the bucket or staging cannot be used, or `yes` is missing.
pub(crate) async fn adopt(settings: Settings, yes: bool) -> anyhow::Result<()> {
    let db = database::open(&settings.database).await?;
    let installation = App::open(db, &settings).await?.installation;
    let plan = installation.plan_adoption().await?;
    print_plan(&plan, &settings);
    anyhow::ensure!(yes, "nothing was changed; add --yes to adopt");
    let record = installation.adopt(&plan).await?;
    println!("adopted: epoch {}, generation {}", record.epoch, record.generation);
    Ok(())
}

fn print_plan(plan: &Adoption, settings: &Settings) {
    let Adoption { record, bucket, staging } = plan;
    println!("database  installation {}, epoch {}, generation {}", record.id, record.epoch, record.generation);
    let url = &settings.bucket.url;
    println!("bucket    s3://{}/{}: {}", url.bucket, url.prefix, describe(bucket));
    println!("staging   {}: {}", settings.staging, describe(staging));
    println!(
        "Adopting marks both as this database's. Later sweeps remove the staged files, and `darkroom-worker compare \
         --remove` the objects, that this database does not name. Any other database that uses them stops."
    );
}

fn describe(state: &StoreState) -> String {
    let content = if state.is_empty { "empty" } else { "not empty" };
    match &state.marker {
        None => format!("{content}, no marker"),
        Some(marker) => format!(
            "{content}, marked by installation {}, epoch {}, generation {}",
            marker.installation, marker.epoch, marker.generation
        ),
    }
}
