//! A private Postgres cluster: its own data, its own port, its own password. Nothing on the machine is touched.

mod binaries;
pub mod install;
mod log;

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use self::log::Log;
pub use self::{
    binaries::{Binaries, OLDEST},
    log::LogSink,
};
use crate::{
    account::Account,
    bound_child::{self, BoundChild},
    port,
};

/// The cluster's superuser.
pub const USER: &str = "darkroom";

/// Long enough for the recovery after a crash on a slow disk.
const START_LIMIT: Duration = Duration::from_mins(1);

/// What a cluster is made of.
#[derive(Clone)]
pub struct Options {
    /// Holds the data, in `pgdata`. Made if missing. As root, it is given to the unprivileged account.
    pub dir: PathBuf,
    /// `None`: a free one.
    pub port: Option<u16>,
    /// The superuser's. It is fixed when the data is initialised.
    pub password: String,
    /// `false`: data survives a crash of Postgres, but not one of the machine. Several times faster: for tests.
    pub durable: bool,
    /// Settings of the server, `name=value`, before which the cluster's own give way.
    pub settings: Vec<String>,
    /// Where the server's log goes. `None`: nowhere, but its last lines are in the errors.
    pub log: Option<LogSink>,
}

/// How a cluster is stopped. <https://www.postgresql.org/docs/current/server-shutdown.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Waits until every client has gone.
    Smart,
    /// Disconnects clients and writes everything out.
    Fast,
    /// As a crash: the next start recovers.
    Immediate,
}

impl Stop {
    fn signal(self) -> Signal {
        match self {
            Self::Smart => Signal::TERM,
            Self::Fast => Signal::INT,
            Self::Immediate => Signal::QUIT,
        }
    }
}

/// A running (or stopped) cluster on 127.0.0.1. Dropping it stops it; it also ends when this process is killed.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use darkroom_dev::postgres::{Cluster, Stop};
///
/// let mut cluster = Cluster::throwaway().await?;
/// let url = cluster.create_database("mine").await?;
/// cluster.stop(Stop::Immediate).await?; // every connection breaks
/// cluster.start_again().await?; // same port, same data: `url` is good again
/// # Ok(()) }
/// ```
pub struct Cluster {
    options: Options,
    account: Account,
    binaries: Binaries,
    port: u16,
    server: Option<Server>,
    /// Of a throwaway cluster: removed after the server has gone.
    temporary: Option<TempDir>,
}

struct Server {
    child: BoundChild,
    log: Log,
}

impl Cluster {
    /// A cluster with nothing in it, in a temporary directory, that is gone when it is dropped.
    pub async fn throwaway() -> Result<Self> {
        Self::throwaway_with(false, Vec::new()).await
    }

    /// The same, with these options.
    pub async fn throwaway_with(durable: bool, settings: Vec<String>) -> Result<Self> {
        let account = Account::for_servers()?;
        let temporary = temporary_dir(account)?;
        let options = Options {
            dir: temporary.path().to_path_buf(),
            port: None,
            password: random_password(),
            durable,
            settings,
            log: None,
        };
        let mut cluster = Self::start(options).await?;
        cluster.temporary = Some(temporary);
        Ok(cluster)
    }

    /// Starts a cluster, initialising its data first where there is none. Returns when it accepts connections.
    ///
    /// # Errors
    /// No Postgres on the machine, or none of the version that wrote the data; the directory is out of the
    /// unprivileged account's reach; the port is in use; the disk is full. The text says which, in one line.
    pub async fn start(options: Options) -> Result<Self> {
        let account = Account::for_servers()?;
        let binaries = binaries_for(&options.dir)?;
        prepare_dir(&options.dir, account)?;
        if !data_dir(&options.dir).exists() {
            initialise(&binaries, account, &options).await?;
        }
        let port = options.port.map_or_else(port::free, Ok)?;
        let mut cluster = Self { options, account, binaries, port, server: None, temporary: None };
        cluster.start_again().await?;
        Ok(cluster)
    }

    /// Starts a stopped cluster, on the same port and data. Returns when it accepts connections.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.server.is_some() {
            bail!("Postgres is already running");
        }
        let mut server = self.spawn()?;
        let url = self.url("postgres");
        // Whichever comes first: where another program has the port, it is that one which takes our connections.
        tokio::select! {
            biased;
            _ = server.child.process.wait() => bail!("Postgres does not start: {}", server.log.reason().await),
            accepted = timeout(START_LIMIT, accepts(&url)) => {
                let in_time =
                    accepted.with_context(|| format!("Postgres does not answer within {} s", START_LIMIT.as_secs()));
                in_time?.with_context(|| format!("cannot use Postgres in {}", self.options.dir.display()))?;
            }
        }
        self.server = Some(server);
        Ok(())
    }

    /// Stops it. Returns when its last process has gone; a stopped cluster stays stopped.
    pub async fn stop(&mut self, how: Stop) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.child.signal(how.signal());
            server.child.process.wait().await.context("cannot wait for Postgres")?;
        }
        Ok(())
    }

    /// Waits until the server ends by itself, and says why. Never returns for a stopped cluster.
    pub async fn ended(&mut self) -> String {
        match &mut self.server {
            Some(server) => {
                let status = server.child.process.wait().await;
                let reason = server.log.reason().await;
                format!("{} ({reason})", status.map_or_else(|error| error.to_string(), |s: ExitStatus| s.to_string()))
            }
            None => std::future::pending().await,
        }
    }

    /// The port it listens on, the same after every start.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgres://…` of one of its databases, with the superuser's password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.options.password, self.port)
    }

    /// Makes a database unless it is there, and returns its URL. `name`: lower-case letters, digits and `_`.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        create_database(&self.url("postgres"), name).await?;
        Ok(self.url(name))
    }

    fn spawn(&self) -> Result<Server> {
        let mut settings = vec![
            "max_connections=300",
            "listen_addresses=127.0.0.1",
            // None: the default directory belongs to another account, and a long path would not fit in an address.
            "unix_socket_directories=",
            "log_checkpoints=off",
            "log_destination=stderr",
            "logging_collector=off",
            "log_line_prefix=",
        ];
        if !self.options.durable {
            // Not `synchronous_commit=off`: commits would be lost when Postgres is killed.
            settings.extend(["fsync=off", "full_page_writes=off"]);
        }
        settings.extend(self.options.settings.iter().map(String::as_str));
        let spawned = bound_child::spawn(self.binaries.program("postgres"), "QUIT", |command| {
            command.arg("-D").arg(data_dir(&self.options.dir)).args(["-p", &self.port.to_string()]);
            command.args(settings.iter().flat_map(|setting| ["-c", setting]));
            command.env("LC_ALL", "C").stdout(Stdio::null()).stderr(Stdio::piped());
            command.current_dir(&self.options.dir);
            self.account.run(command);
        });
        let mut child = spawned.context("cannot start Postgres")?;
        let log = Log::read(child.process.stderr.take(), self.options.log.clone());
        Ok(Server { child, log })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let how = if self.options.durable { Stop::Fast } else { Stop::Immediate };
            server.child.signal(how.signal());
            server.wait_at_most(Duration::from_secs(5));
        }
        drop(self.temporary.take());
    }
}

impl Server {
    /// For a destructor, which cannot await.
    fn wait_at_most(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while matches!(self.child.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Waits until connections are accepted: they are refused while the server starts and recovers.
async fn accepts(url: &str) -> sqlx::Result<()> {
    /// SQLSTATE `cannot_connect_now`.
    const STARTING: &str = "57P03";
    loop {
        match PgConnection::connect(url).await {
            Ok(connection) => return connection.close().await,
            Err(sqlx::Error::Database(error)) if error.code().as_deref() != Some(STARTING) => {
                return Err(sqlx::Error::Database(error));
            }
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Makes a database of that name where `admin` (the URL of another database) points, unless it is there.
pub(crate) async fn create_database(admin: &str, name: &str) -> Result<()> {
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        bail!("{name:?} is not a name for a database");
    }
    let mut connection = PgConnection::connect(admin).await.context("cannot connect to Postgres")?;
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await?;
    if !exists {
        // A name cannot be bound; this one was checked.
        let statement = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(statement).execute(&mut connection).await.context("cannot create a database")?;
    }
    connection.close().await?;
    Ok(())
}

/// 128 random bits, in hexadecimal.
pub fn random_password() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn data_dir(dir: &Path) -> PathBuf {
    dir.join("pgdata")
}

fn binaries_for(dir: &Path) -> Result<Binaries> {
    let data = fs::read_to_string(data_dir(dir).join("PG_VERSION")).ok().and_then(|text| text.trim().parse().ok());
    Binaries::find(data).with_context(|| match data {
        Some(major) => format!(
            "{} was written by Postgres {major}, which is not on this machine: install it, or remove that directory",
            data_dir(dir).display()
        ),
        None => format!("there is no Postgres {OLDEST} or newer on this machine"),
    })
}

/// A temporary directory that the account can reach and write to.
fn temporary_dir(account: Account) -> Result<TempDir> {
    for parent in [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()] {
        let Ok(dir) = tempfile::Builder::new().prefix("darkroom-").tempdir_in(&parent) else { continue };
        if prepare_dir(dir.path(), account).is_ok() {
            return Ok(dir);
        }
    }
    bail!("cannot make a temporary directory in {}", std::env::temp_dir().display())
}

fn prepare_dir(dir: &Path, account: Account) -> Result<()> {
    let explain = || format!("cannot make {}", dir.display());
    fs::create_dir_all(dir).with_context(explain)?;
    account.own(dir).with_context(explain)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).with_context(explain)?;
    if !account.wait_for_status(dir) {
        bail!("the account that Postgres runs as cannot reach {}: choose another DATA_DIR", dir.display());
    }
    Ok(())
}

/// Initialises beside the place and moves it there, so that an interrupted one is never taken for whole.
async fn initialise(binaries: &Binaries, account: Account, options: &Options) -> Result<()> {
    let [unfinished, password] = ["pgdata.unfinished", "password"].map(|name| options.dir.join(name));
    remove(&unfinished)?;
    write_private(&password, &options.password, account)?;
    let spawned = bound_child::spawn(binaries.program("initdb"), "TERM", |command| {
        command.arg("-D").arg(&unfinished).arg(format!("--pwfile={}", password.display()));
        command.args(["-U", USER, "-E", "UTF8", "--auth=scram-sha-256"]);
        // The same order and case rules on every machine; macOS knows it by its old name only.
        command.arg(if cfg!(target_os = "macos") { "--locale=C" } else { "--locale=C.UTF-8" });
        if !options.durable {
            command.arg("--no-sync");
        }
        command.current_dir(&options.dir).stdout(Stdio::null()).stderr(Stdio::piped());
        account.run(command);
    });
    let mut initdb = spawned.context("cannot run initdb")?;
    let mut log = Log::read(initdb.process.stderr.take(), options.log.clone());
    let status = initdb.process.wait().await.context("cannot run initdb")?;
    remove(&password)?;
    if !status.success() {
        bail!("initdb failed: {}", log.reason().await);
    }
    fs::rename(&unfinished, data_dir(&options.dir)).context("cannot move the initialised data to its place")
}

fn write_private(path: &Path, text: &str, account: Account) -> Result<()> {
    let explain = || format!("cannot write {}", path.display());
    remove(path)?;
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(explain)?;
    account.own(path).with_context(explain)
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
