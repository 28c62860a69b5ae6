//! The private cluster. If root runs the tests, it belongs to another account.

use std::{fs, net::TcpListener, process::Stdio};

use darkroom_dev::{
    bound_child,
    postgres::{Cluster, Options, Stop, random_password},
};
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::test]
async fn data_survives_every_way_to_stop() {
    let mut cluster = Cluster::throwaway().await.unwrap();
    let url = cluster.create_database("kept").await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (n bigint)").execute(&mut connection).await.unwrap();
    for (n, how) in (0_i64..).zip([Stop::Fast, Stop::Immediate, Stop::Smart]) {
        sqlx::query("INSERT INTO t VALUES ($1)").bind(n).execute(&mut connection).await.unwrap();
        if how == Stop::Smart {
            connection.close().await.unwrap();
        }
        cluster.stop(how).await.unwrap();
        assert!(PgConnection::connect(&url).await.is_err(), "it still accepts connections after {how:?}");
        cluster.start_again().await.unwrap();
        connection = PgConnection::connect(&url).await.unwrap();
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut connection).await.unwrap();
        assert_eq!(rows, n + 1, "after {how:?}");
    }
}

#[tokio::test]
async fn it_uses_utf8_and_c_collation_and_checks_the_password() {
    let cluster = Cluster::throwaway().await.unwrap();
    let url = cluster.url("postgres");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let (encoding, folded, below): (String, String, bool) =
        sqlx::query_as("SELECT current_setting('server_encoding'), lower('ÄÖ'), 'Z' < 'a'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!((encoding.as_str(), folded.as_str(), below), ("UTF8", "äö", true));
    let mut wrong = url::Url::parse(&url).unwrap();
    wrong.set_password(Some("wrong")).unwrap();
    let refused = PgConnection::connect(wrong.as_str()).await.unwrap_err();
    assert!(refused.to_string().contains("password authentication failed"), "{refused}");
}

#[tokio::test]
async fn a_temporary_cluster_leaves_no_files() {
    let cluster = Cluster::throwaway().await.unwrap();
    let mut connection = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    let dir: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await.unwrap();
    assert!(fs::exists(&dir).unwrap());
    let port = cluster.port();
    drop(cluster);
    assert!(!fs::exists(&dir).unwrap(), "{dir} is still there");
    assert!(darkroom_dev::port::is_free(port));
}

#[tokio::test]
async fn a_port_in_use_is_reported_in_one_line() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let options = Options {
        dir: dir.path().join("data"),
        port: Some(port),
        password: random_password(),
        durable: false,
        settings: Vec::new(),
        log: None,
    };
    make_reachable(dir.path());
    let error = Cluster::start(options).await.err().expect("a port in use").to_string();
    assert!(error.starts_with("Postgres does not start: ") && error.contains("TCP/IP"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[tokio::test]
async fn data_of_another_version_is_reported() {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    fs::create_dir(dir.path().join("pgdata")).unwrap();
    fs::write(dir.path().join("pgdata/PG_VERSION"), "9\n").unwrap();
    let options = Options {
        dir: dir.path().into(),
        port: None,
        password: random_password(),
        durable: false,
        settings: Vec::new(),
        log: None,
    };
    let error = Cluster::start(options).await.err().expect("no Postgres 9").to_string();
    assert!(error.contains("was written by Postgres 9"), "{error}");
}

#[tokio::test]
async fn a_bound_child_is_signalled_when_its_handle_is_dropped() {
    let mut child = bound_child::spawn("sh", "TERM", |command| {
        command.args(["-c", "trap 'echo signalled; exit 7' TERM; echo ready; while :; do sleep 0.01; done"]);
        command.stdout(Stdio::piped());
    })
    .unwrap();
    let mut lines = BufReader::new(child.process.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "ready");
    drop(child);
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "signalled");
}

/// `tempfile` creates directories with mode 0700; if root runs the tests, Postgres runs as another account.
fn make_reachable(dir: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("our own directory");
}
