//! `darkroom-dev prepare`: the offline data of the checked queries, as `cargo sqlx prepare` makes it.
//!
//! `sqlx::query!` asks a database what a query returns while it is compiled, and writes the answer to
//! `SQLX_OFFLINE_DIR/query-<sha256>.json`. Committed as `.sqlx`, these answers let everybody build without a database.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use darkroom_dev::postgres::{Cluster, install};
use sqlx::{PgPool, migrate::Migrator};
use tokio::process::Command;

/// Tell the wrapper of the compiler which database to ask and where to write.
const WRAPPED_URL: &str = "DARKROOM_PREPARE_DATABASE_URL";
const WRAPPED_DIR: &str = "DARKROOM_PREPARE_DIR";

/// What lies in a directory of offline data, by file name.
type Queries = BTreeMap<String, String>;

/// Compiles the workspace against a fresh database, and writes what its queries return, or compares it.
pub(crate) async fn prepare(check: bool) -> Result<ExitCode> {
    install::ensure()?;
    let root = workspace().await?;
    let committed = root.join(".sqlx");
    let cluster = Cluster::throwaway().await?;
    let url = cluster.create_database("prepare").await?;
    migrate(&url, &root.join("migrations")).await?;
    let fresh = compile(&root, &url).await?;
    let old = read(&committed)?;
    if fresh == old {
        println!("{} queries, .sqlx is up to date", fresh.len());
        return Ok(ExitCode::SUCCESS);
    }
    if check {
        bail!("the queries of .sqlx are not those of the sources: run `make prepare` and commit .sqlx");
    }
    fs::create_dir_all(&committed)?;
    for name in old.keys().filter(|name| !fresh.contains_key(*name)) {
        fs::remove_file(committed.join(name))?;
    }
    for (name, text) in &fresh {
        fs::write(committed.join(name), text)?;
    }
    println!("{} queries, .sqlx is written", fresh.len());
    Ok(ExitCode::SUCCESS)
}

async fn workspace() -> Result<PathBuf> {
    let mut locate = Command::new(cargo());
    locate.args(["locate-project", "--workspace", "--message-format", "plain"]);
    let output = locate.output().await.context("cannot run cargo")?;
    let manifest = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    let root = manifest.parent().filter(|_| output.status.success());
    root.map(Path::to_path_buf).context("this is not in the workspace of Darkroom")
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

async fn migrate(url: &str, migrations: &Path) -> Result<()> {
    let pool = PgPool::connect(url).await?;
    // Read from the directory: the migrations compiled into this program may be older. The queue has no checked queries.
    let migrator = Migrator::new(migrations).await.context("cannot read the migrations")?;
    migrator.run_direct(None, &mut *pool.acquire().await?, false).await.context("cannot migrate")?;
    pool.close().await;
    Ok(())
}

/// Checks the whole workspace with a compiler that sees the database.
///
/// The compiler is wrapped, for the workspace's own crates only: our dependencies have queries too, which are not our
/// affair. As the wrapper's path is new each time, cargo compiles these crates anew but leaves what it has built of them
/// without the wrapper alone.
async fn compile(root: &Path, url: &str) -> Result<Queries> {
    let scratch = tempfile::Builder::new().prefix("darkroom-prepare-").tempdir()?;
    let queries = scratch.path().join("queries");
    fs::create_dir(&queries)?;
    let wrapper = scratch.path().join("rustc");
    symlink(std::env::current_exe()?, &wrapper)?;
    let status = Command::new(cargo())
        // Not the tests: they have no queries of their own.
        .args(["check", "--workspace", "--lib", "--bins", "--quiet"])
        .current_dir(root)
        .env("RUSTC_WORKSPACE_WRAPPER", &wrapper)
        .env(WRAPPED_URL, url)
        .env(WRAPPED_DIR, &queries)
        .env("SQLX_OFFLINE", "true")
        .env("CARGO_INCREMENTAL", "0")
        .status()
        .await
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the workspace does not compile against a fresh database");
    }
    read(&queries)
}

/// Becomes the compiler that cargo wants to run, where this process is the wrapper of [`compile`]; else returns. Not a
/// shell script: a shell loses the variables with hyphens that cargo sets.
pub(crate) fn become_the_compiler() -> Result<()> {
    let (Some(url), Some(dir)) = (std::env::var_os(WRAPPED_URL), std::env::var_os(WRAPPED_DIR)) else { return Ok(()) };
    let mut command = std::env::args_os().skip(1);
    let rustc = command.next().context("no compiler is given")?;
    let failed = std::process::Command::new(&rustc)
        .args(command)
        .env_remove(WRAPPED_URL)
        .env_remove(WRAPPED_DIR)
        .env("DATABASE_URL", url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", dir)
        .exec();
    Err(failed).with_context(|| format!("cannot run {}", rustc.display()))
}

fn read(dir: &Path) -> Result<Queries> {
    let mut queries = Queries::new();
    for file in fs::read_dir(dir).into_iter().flatten() {
        let file = file?;
        if let Some(name) = file.file_name().to_str().filter(|name| name.starts_with("query-")) {
            queries.insert(name.to_owned(), fs::read_to_string(file.path())?);
        }
    }
    Ok(queries)
}
