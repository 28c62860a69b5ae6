//! `darkroom-api keys …`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Subcommand;
use darkroom_api::Token;
use darkroom_model::Owner;
use darkroom_shared::{
    access::{
        Actor, Found, Key, KeyChange, KeyName, NewKey, OwnerName, Scope, Scopes, create_key, find_credential,
        list_all_keys, rename_key, revoke_key, rotate_key,
    },
    database::{self, Database},
    settings::Settings,
};
use sqlx::PgConnection;

use super::access::{owner, owner_names, seconds};

/// The name of the key that `ensure` makes.
const ENSURED_NAME: &str = "bootstrap";

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Makes a key and prints it to stdout. It is not stored, and cannot be printed again.
    Create {
        /// For people; for example the program that will have the key.
        name: KeyName,
        /// Whose images the key gives access to.
        #[arg(long, default_value = "default")]
        owner: OwnerName,
        /// What the key allows: read, write, admin. Can be repeated.
        #[arg(long = "scope", value_delimiter = ',', default_value = "read,write")]
        scopes: Vec<Scope>,
        /// When the key ends: after a time such as 90d, 12h or 30m, or at a time such as 2027-01-31 or 2027-01-31T12:00:00Z.
        /// Default: never.
        #[arg(long, value_parser = parse_expiry)]
        expires: Option<DateTime<Utc>>,
    },
    /// Lists all keys, oldest first; revoked and expired ones too.
    List {
        /// Only this owner's.
        #[arg(long)]
        owner: Option<OwnerName>,
    },
    /// Gives a key another name.
    Rename {
        /// The key's id, or its beginning as `keys list` prints it.
        key: String,
        /// The new name.
        name: KeyName,
    },
    /// Gives a key a new secret and prints it to stdout. All else stays.
    Rotate {
        /// The key's id, or its beginning as `keys list` prints it.
        key: String,
        /// How long the secret before still works, for example 1h; at most 7d.
        #[arg(long, default_value = "0s", value_parser = parse_overlap)]
        overlap: Duration,
    },
    /// Ends a key for ever, within 2 seconds.
    Revoke {
        /// The key's id, or its beginning as `keys list` prints it.
        key: String,
    },
    /// Makes a key with all scopes for the owner `default` and writes it to a file that only its owner can read, unless the
    /// file has a valid one. For scripts that start a service.
    Ensure {
        /// The file.
        file: PathBuf,
    },
}

impl KeysCommand {
    pub(crate) async fn run(self, settings: Settings) -> anyhow::Result<()> {
        let db = match self {
            // It may run before the database does.
            Self::Ensure { .. } => database::wait_and_open(&settings.database).await?,
            _ => database::open(&settings.database).await?,
        };
        match self {
            Self::Create { name, owner: of, scopes, expires: expires_at } => {
                let new = NewKey { name, scopes: scopes.into_iter().collect(), expires_at };
                let token = Token::generate();
                let key = create(&db, owner(&db, &of).await?, &new, &token).await?;
                eprintln!("made the key {} \"{}\" of {of}: {}", key.id, key.name, key.scopes);
                println!("{}", token.expose());
            }
            Self::List { owner: of } => {
                let of = match of {
                    None => None,
                    Some(name) => Some(owner(&db, &name).await?),
                };
                let keys = db.run(async |db| list_all_keys(db, None).await).await?;
                let names = owner_names(&db).await?;
                for key in keys.into_iter().filter(|key| of.is_none_or(|owner| key.owner == owner)) {
                    println!("{}", line(&key, &names[&key.owner]));
                }
            }
            Self::Rename { key, name } => {
                let Key { id, owner, .. } = find(&db, &key).await?;
                let rename = async |tx: &mut PgConnection| rename_key(tx, &Actor::OPERATOR, owner, id, &name).await;
                db.transaction(rename).await?.context("the key is gone")?;
                println!("renamed the key {id} to \"{name}\"");
            }
            Self::Rotate { key, overlap } => rotate(&db, &find(&db, &key).await?, overlap).await?,
            Self::Revoke { key } => {
                let Key { id, owner, .. } = find(&db, &key).await?;
                let revoke = async |tx: &mut PgConnection| revoke_key(tx, &Actor::OPERATOR, owner, id).await;
                match db.transaction(revoke).await? {
                    KeyChange::Done(key) => println!("revoked the key {id} \"{}\"", key.name),
                    KeyChange::Ended => println!("the key {id} is revoked already"),
                    KeyChange::NotFound => anyhow::bail!("the key is gone"),
                }
            }
            Self::Ensure { file } => ensure(&db, &file).await?,
        }
        Ok(())
    }
}

async fn create(db: &Database, owner: Owner, new: &NewKey, token: &Token) -> anyhow::Result<Key> {
    let create = async |tx: &mut PgConnection| create_key(tx, &Actor::OPERATOR, owner, new, &token.hash()).await;
    Ok(db.transaction(create).await?)
}

async fn rotate(db: &Database, key: &Key, overlap: Duration) -> anyhow::Result<()> {
    let token = Token::generate();
    let rotate =
        async |tx: &mut PgConnection| rotate_key(tx, &Actor::OPERATOR, key.owner, key.id, &token.hash(), overlap).await;
    match db.transaction(rotate).await? {
        KeyChange::Done(rotated) => {
            let before = if overlap.is_zero() {
                "works no more".to_owned()
            } else {
                format!("works until {}", seconds(Utc::now() + overlap))
            };
            eprintln!("rotated the key {} \"{}\"; {} {before}", key.id, rotated.name, key.prefix);
            println!("{}", token.expose());
            Ok(())
        }
        KeyChange::Ended => {
            anyhow::bail!("the key is revoked or expired: make another with `darkroom-api keys create`")
        }
        KeyChange::NotFound => anyhow::bail!("the key is gone"),
    }
}

/// The only key with this id or this beginning. A whole key is understood, too.
async fn find(db: &Database, text: &str) -> anyhow::Result<Key> {
    let wanted = text.parse::<Token>().map_or_else(|_| text.to_owned(), |token| token.hash().prefix);
    let mut found = db.run(async |db| list_all_keys(db, Some(&wanted)).await).await?;
    match (found.pop(), found.len()) {
        (Some(key), 0) => Ok(key),
        (None, _) => anyhow::bail!("there is no key {wanted}; `darkroom-api keys list` lists all"),
        (Some(_), others) => anyhow::bail!("{} keys begin with {wanted}: name one by its id", others + 1),
    }
}

/// See [`KeysCommand::Ensure`].
async fn ensure(db: &Database, file: &Path) -> anyhow::Result<()> {
    let explain = || format!("cannot use {}", file.display());
    match fs::read_to_string(file) {
        Ok(text) => {
            if let Ok(token) = text.trim().parse::<Token>()
                && is_valid(db, &token).await?
            {
                println!("{} has a valid key", file.display());
                return Ok(());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(explain),
    }
    // The file first: a key in the database that nobody knows would be worse than one in the file that is not valid.
    let token = Token::generate();
    write_private(file, token.expose()).with_context(explain)?;
    let new = NewKey { name: ENSURED_NAME.parse()?, scopes: Scopes::all(), expires_at: None };
    let key = create(db, Owner::DEFAULT, &new, &token).await?;
    println!("made the key {} and wrote it to {}", key.prefix, file.display());
    Ok(())
}

async fn is_valid(db: &Database, token: &Token) -> anyhow::Result<bool> {
    let found = db.run(async |db| find_credential(db, &token.hash().digest).await).await?;
    Ok(matches!(found, Found::Valid(credential) if credential.scopes.allow(Scope::Admin)))
}

/// Writes a file with mode 0600 atomically.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    // Another one's file would keep its mode.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

/// A key in one line, without its secret.
fn line(key: &Key, owner: &str) -> String {
    let Key { id, prefix, name, created_at, .. } = key;
    let scopes = key.scopes.to_string().replace(' ', "");
    let state = match (key.revoked_at, key.expires_at) {
        (Some(revoked), _) => format!("revoked {}", seconds(revoked)),
        (None, Some(end)) if end <= Utc::now() => format!("expired {}", seconds(end)),
        (None, Some(end)) => format!("expires {}", seconds(end)),
        (None, None) => "valid".to_owned(),
    };
    let used = key.last_used_at.map_or_else(|| "never used".to_owned(), |used| format!("used {}", seconds(used)));
    format!("{id}  {prefix}  {owner}  {scopes}  {state}  {used}  made {}  \"{name}\"", seconds(*created_at))
}

/// A duration such as `90d`, `12h`, `30m` or `10s`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || "must be a time such as 90d, 12h, 30m or 10s".to_owned();
    let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let unit = match unit {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return Err(expected()),
    };
    // At most a hundred years, so that it can be added to a date.
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    seconds.filter(|seconds| *seconds <= 36_525 * 86_400).map(Duration::from_secs).ok_or_else(expected)
}

fn parse_overlap(text: &str) -> Result<Duration, String> {
    parse_duration(text).and_then(|overlap| {
        if overlap <= Duration::from_hours(7 * 24) { Ok(overlap) } else { Err("must be at most 7d".to_owned()) }
    })
}

/// A time in the future: a duration from now, a date, or a time as in RFC 3339.
fn parse_expiry(text: &str) -> Result<DateTime<Utc>, String> {
    let now = Utc::now();
    let date = || text.parse::<NaiveDate>().ok().map(|date| date.and_time(NaiveTime::MIN).and_utc());
    let time = || DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    let time = match parse_duration(text) {
        Ok(duration) => now + duration,
        Err(expected) => date()
            .or_else(time)
            .ok_or_else(|| format!("{expected}, or one such as 2027-01-31 or 2027-01-31T12:00:00Z"))?,
    };
    if time > now { Ok(time) } else { Err("must be in the future".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, seconds) in [("90d", 7_776_000), ("12h", 43_200), ("30m", 1800), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "90", "d", "-1d", "1.5h", "1w", "1ä", "99999999999999999999d", "40000d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_overlap("7d").is_ok() && parse_overlap("8d").is_err());
    }

    #[test]
    fn an_expiry_is_in_the_future() {
        for text in ["1s", "90d", "2999-01-31", "2999-01-31T12:00:00Z", "2999-01-31T12:00:00+02:00"] {
            assert!(parse_expiry(text).is_ok_and(|time| time > Utc::now()), "{text}");
        }
        for text in ["0s", "2001-01-31", "2001-01-31T12:00:00Z", "tomorrow", "2999-13-01", "31.1.2999"] {
            assert!(parse_expiry(text).is_err(), "{text}");
        }
    }
}
