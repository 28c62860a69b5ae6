//! Postgres and the S3 server of a stack.

use std::{env, sync::Arc};

use anyhow::{Context as _, Result};
use darkroom_dev::{
    bucket::{self, Server},
    port,
    postgres::{self, Cluster, LogSink, Stop, install},
};

use super::{
    data::{BUCKET, Data},
    port_from,
    terminal::Terminal,
};

/// The names of the database and of the bucket.
pub(super) const NAME: &str = "darkroom";
/// The port of the S3 server if it is free, so that its address usually stays the same.
const S3_PORT: u16 = 9000;

/// A running Postgres and S3 server.
pub(super) struct Backends {
    pub(super) database_url: String,
    pub(super) server: Server,
    /// `None`: `DATABASE_URL` names another server.
    cluster: Option<Cluster>,
}

impl Backends {
    /// Starts both. If `DATABASE_URL` is set, no Postgres is started.
    pub(super) async fn start(data: &Data, api_port: u16, terminal: &Terminal) -> Result<Self> {
        let server = start_bucket(data, api_port).await?;
        let given = env::var("DATABASE_URL").ok().filter(|url| !url.trim().is_empty());
        let (database_url, cluster) = if let Some(url) = given {
            (url, None)
        } else {
            let cluster = start_cluster(data, terminal).await?;
            (cluster.create_database(NAME).await?, Some(cluster))
        };
        Ok(Self { database_url, server, cluster })
    }

    /// Waits until Postgres ends by itself, and says why.
    pub(super) async fn ended(&mut self) -> String {
        match &mut self.cluster {
            Some(cluster) => cluster.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Stops both. Call it after the services have ended.
    pub(super) async fn stop(self) {
        self.server.stop().await;
        if let Some(mut cluster) = self.cluster {
            // Fails only if the process has exited already.
            let _ = cluster.stop(Stop::Fast).await;
        }
    }
}

async fn start_bucket(data: &Data, api_port: u16) -> Result<Server> {
    let is_usable = |port: &u16| *port != api_port && port::is_free(*port);
    let port = port_from("S3_PORT")?.or_else(|| Some(S3_PORT).filter(is_usable));
    let credentials = data.credentials();
    let server = Server::start(bucket::Options {
        root: data.dir().join(BUCKET),
        port,
        key_id: credentials.s3_key_id.clone(),
        secret: credentials.s3_secret.clone(),
    });
    let server = server.await.context("choose another port for the S3 server with S3_PORT")?;
    server.create_bucket(NAME)?;
    Ok(server)
}

async fn start_cluster(data: &Data, terminal: &Terminal) -> Result<Cluster> {
    install::ensure()?;
    Cluster::start(postgres::Options {
        dir: data.dir().join("postgres"),
        port: None,
        password: data.credentials().postgres_password.clone(),
        durable: true,
        settings: Vec::new(),
        log: Some(log_sink(terminal.clone())),
    })
    .await
}

/// Prints warnings and fatal errors of Postgres. Errors of statements are reported by the services, and refused
/// connections are normal while Postgres starts or stops.
fn log_sink(terminal: Terminal) -> LogSink {
    Arc::new(move |line| {
        let grave = ["WARNING:", "FATAL:", "PANIC:"].iter().any(|kind| line.starts_with(kind));
        if grave && !line.contains("the database system is") && !line.contains("administrator command") {
            terminal.print("postgres", line);
        }
    })
}
