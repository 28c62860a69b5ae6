//! Owners: whose images and keys are.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use darkroom_model::Owner;
use sqlx::PgConnection;

use super::{Action, Actor, InvalidName, audit::record};

/// The name of an owner: 1 to 63 lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerName(String);

impl OwnerName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OwnerName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        // As the schema has it (`owners_name_form`).
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let has_ends = text.bytes().next().is_some_and(is_word) && text.bytes().last().is_some_and(is_word);
        if !has_ends || text.len() > 63 || !text.bytes().all(|byte| is_word(byte) || byte == b'-') {
            return Err(InvalidName(
                "must have 1 to 63 lower-case letters, digits and \"-\", and begin and end with a letter or a digit",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An owner with its name.
#[derive(Clone, Debug)]
pub struct OwnerRow {
    /// The owner.
    pub owner: Owner,
    /// Its name, unique.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

struct Row {
    id: i32,
    name: String,
    created_at: DateTime<Utc>,
}

/// Makes an owner. `None`: the name is taken.
pub async fn create_owner(
    db: &mut PgConnection,
    actor: &Actor,
    name: &OwnerName,
) -> Result<Option<Owner>, sqlx::Error> {
    let created = sqlx::query_scalar!(
        "INSERT INTO owners (name) VALUES ($1) ON CONFLICT (name) DO NOTHING RETURNING id",
        name.as_str()
    );
    let Some(id) = created.fetch_optional(&mut *db).await? else { return Ok(None) };
    let owner = Owner::from_id(id);
    record(db, actor, owner, Action::OwnerCreated, None, name.as_str()).await?;
    Ok(Some(owner))
}

/// The owner with this name.
pub async fn find_owner(db: &mut PgConnection, name: &OwnerName) -> Result<Option<Owner>, sqlx::Error> {
    let id = sqlx::query_scalar!("SELECT id FROM owners WHERE name = $1", name.as_str()).fetch_optional(db).await?;
    Ok(id.map(Owner::from_id))
}

/// Every owner, oldest first.
pub async fn list_owners(db: &mut PgConnection) -> Result<Vec<OwnerRow>, sqlx::Error> {
    let rows = sqlx::query_as!(Row, "SELECT id, name, created_at FROM owners ORDER BY id").fetch_all(db).await?;
    let owner = |row: Row| OwnerRow { owner: Owner::from_id(row.id), name: row.name, created_at: row.created_at };
    Ok(rows.into_iter().map(owner).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_owners_are_plain_words() {
        for text in ["default", "a", "shop-2-eu-west", "9lives"] {
            assert_eq!(text.parse::<OwnerName>().unwrap().as_str(), text);
        }
        for text in ["", "-a", "a-", "a.b", "a_b", "A", "a b", "ä", "a/b", &"x".repeat(64)] {
            assert!(text.parse::<OwnerName>().is_err(), "{text:?}");
        }
    }
}
