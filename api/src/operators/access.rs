//! `darkroom-api owners …` and `darkroom-api audit`.

use std::collections::HashMap;

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use darkroom_model::Owner;
use darkroom_shared::{
    access::{Actor, OwnerName, OwnerRow, create_owner, find_owner, list_all_audit, list_audit, list_owners},
    database::{self, Database},
    settings::Settings,
};
use sqlx::PgConnection;

#[derive(Debug, Subcommand)]
pub(crate) enum OwnersCommand {
    /// Makes an owner.
    Create {
        /// 1 to 63 lower-case letters, digits, "-", "_" and ".".
        name: OwnerName,
    },
    /// Lists the owners, oldest first.
    List,
}

impl OwnersCommand {
    pub(crate) async fn run(self, settings: Settings) -> anyhow::Result<()> {
        let db = database::open(&settings.database).await?;
        match self {
            Self::Create { name } => {
                let create = async |tx: &mut PgConnection| create_owner(tx, &Actor::OPERATOR, &name).await;
                db.transaction(create).await?.with_context(|| format!("there is an owner {name} already"))?;
                println!("made the owner {name}; make keys for it with `darkroom-api keys create --owner {name} …`");
            }
            Self::List => {
                for OwnerRow { name, created_at, .. } in db.run(async |db| list_owners(db).await).await? {
                    println!("{}  {name}", seconds(created_at));
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(crate) struct AuditCommand {
    /// Only what concerns this owner.
    #[arg(long)]
    owner: Option<OwnerName>,
    /// Maximum number of entries.
    #[arg(long, default_value = "100")]
    limit: u32,
}

impl AuditCommand {
    pub(crate) async fn run(self, settings: Settings) -> anyhow::Result<()> {
        let db = database::open(&settings.database).await?;
        let limit = self.limit.into();
        let entries = match self.owner {
            None => db.run(async |db| list_all_audit(db, limit).await).await?,
            Some(name) => {
                let owner = owner(&db, &name).await?;
                db.run(async |db| list_audit(db, owner, None, limit).await).await?
            }
        };
        let names = owner_names(&db).await?;
        for entry in entries {
            let actor = entry.actor_key.map_or(entry.actor, |key| format!("key {key}"));
            let from = entry.address.map_or_else(String::new, |address| format!(" from {address}"));
            let request = entry.request_id.map_or_else(String::new, |id| format!(", request {id}"));
            let (at, action, detail) = (seconds(entry.at), entry.action, entry.detail);
            println!("{at}  {action}  {detail}  (owner {}; by {actor}{from}{request})", names[&entry.owner]);
        }
        Ok(())
    }
}

/// The owner with this name.
pub(super) async fn owner(db: &Database, name: &OwnerName) -> anyhow::Result<Owner> {
    let found = db.run(async |db| find_owner(db, name).await).await?;
    found.with_context(|| format!("there is no owner {name}: make it with `darkroom-api owners create {name}`"))
}

/// The name of every owner.
pub(super) async fn owner_names(db: &Database) -> anyhow::Result<HashMap<Owner, String>> {
    let owners = db.run(async |db| list_owners(db).await).await?;
    Ok(owners.into_iter().map(|row| (row.owner, row.name)).collect())
}

/// A time in seconds, for people.
pub(super) fn seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
