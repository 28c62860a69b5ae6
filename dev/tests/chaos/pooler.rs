//! Both binaries behind `PgBouncer` in transaction mode.

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use darkroom_dev::{
    bound_child::{self, BoundChild},
    port,
    testing::{self, stack::Setup, stack::eventually},
};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;
use url::Url;

use crate::harness::ChaosTest;

/// The oldest version that keeps prepared statements in transaction mode.
const OLDEST: (u32, u32) = (1, 21);

/// A `PgBouncer` in front of one database.
struct Pooler {
    url: String,
    _process: BoundChild,
    _dir: TempDir,
}

/// `PGBOUNCER`, or the one in `PATH`; `None` with the reason on stderr.
async fn program() -> Option<PathBuf> {
    let program = PathBuf::from(std::env::var_os("PGBOUNCER").unwrap_or_else(|| "pgbouncer".into()));
    let Ok(output) = Command::new(&program).arg("--version").output().await else {
        eprintln!("SKIPPED: there is no pgbouncer; set PGBOUNCER to one of version 1.21 or newer");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST {
        eprintln!("SKIPPED: pgbouncer is {version:?}, and {OLDEST:?} is needed; set PGBOUNCER to a newer one");
        return None;
    }
    Some(program)
}

impl Pooler {
    fn start(program: PathBuf, database: &str) -> Self {
        let server = Url::parse(database).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let port = port::free().unwrap();
        let (user, password) = (server.username(), server.password().unwrap());
        fs::write(dir.path().join("users.txt"), format!("\"{user}\" \"{password}\"\n")).unwrap();
        let config = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = plain\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = 8\nmax_prepared_statements = 400\n",
            server.host_str().unwrap(),
            server.port().unwrap(),
            dir.path().join("users.txt").display(),
        );
        let path = dir.path().join("pgbouncer.ini");
        fs::write(&path, config).unwrap();
        // PgBouncer refuses to run as root.
        let account = darkroom_dev::account::Account::for_servers().unwrap();
        for entry in [dir.path().to_path_buf(), path.clone(), dir.path().join("users.txt")] {
            account.own(&entry).unwrap();
        }
        let process = bound_child::spawn(program, "KILL", |command| {
            command.arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
            account.run(command);
        });
        let mut url = server;
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        Self { url: url.into(), _process: process.unwrap(), _dir: dir }
    }
}

#[tokio::test]
async fn both_binaries_work_behind_pgbouncer_in_transaction_mode() {
    let Some(program) = program().await else { return };
    let direct = testing::database().await;
    // Migrations need a direct connection.
    let settings = darkroom_shared::settings::DatabaseSettings::direct(&direct, 2);
    darkroom_shared::database::open(&settings).await.unwrap().close().await;
    let pooler = Pooler::start(program, &direct);
    eventually("PgBouncer listens", async || {
        let options = pooler.url.parse::<sqlx::postgres::PgConnectOptions>().unwrap().extra_float_digits(None);
        PgConnection::connect_with(&options).await.ok()
    })
    .await;
    let settings = vec![
        ("DATABASE_URL", pooler.url.clone()),
        ("DATABASE_POOLER", "true".to_owned()),
        ("MIGRATE_ON_START", "false".to_owned()),
    ];
    let setup = Setup { workers: 2, database: Some(direct), settings, ..Setup::default() };
    let mut test = ChaosTest::start(setup).await;
    test.upload_many(40).await;
    tokio::time::timeout(Duration::from_mins(5), test.assert_invariants()).await.unwrap();
}
