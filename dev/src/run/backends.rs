//! What the api and the worker work with: Postgres and an S3 server.

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
/// Where the S3 server listens if it can, so that its address is the same every day.
const S3_PORT: u16 = 9000;

/// Both, running.
pub(super) struct Backends {
    pub(super) database_url: String,
    pub(super) server: Server,
    /// `None`: the database is somebody else's.
    cluster: Option<Cluster>,
}

impl Backends {
    /// Starts both. `DATABASE_URL` takes the place of a Postgres of our own.
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

    /// Stops both, to be called when nothing uses them any more.
    pub(super) async fn stop(self) {
        self.server.stop().await;
        if let Some(mut cluster) = self.cluster {
            // It can only fail where the process has gone already.
            let _ = cluster.stop(Stop::Fast).await;
        }
    }
}

async fn start_bucket(data: &Data, api_port: u16) -> Result<Server> {
    let usable = |port: &u16| *port != api_port && port::is_free(*port);
    let port = port_from("S3_PORT")?.or_else(|| Some(S3_PORT).filter(usable));
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
        connections: postgres::CONNECTIONS,
        log: Some(sink(terminal.clone())),
    })
    .await
}

/// Shows what is wrong with Postgres. What is wrong with a statement, its sender says; and that connections are refused
/// while it starts or stops is as it should be.
fn sink(terminal: Terminal) -> LogSink {
    Arc::new(move |line| {
        let grave = ["WARNING:", "FATAL:", "PANIC:"].iter().any(|kind| line.starts_with(kind));
        if grave && !line.contains("the database system is") && !line.contains("administrator command") {
            terminal.say("postgres", line);
        }
    })
}
