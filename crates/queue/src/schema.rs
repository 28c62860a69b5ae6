//! Where the tables of the queue are: the name of a Postgres schema, and the NOTIFY channel that follows from it.

use std::{borrow::Cow, fmt, sync::Arc};

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// The schema that apalis uses.
const DEFAULT: &str = "apalis";
/// Longest name, in bytes: a Postgres identifier has 63, and the channel appends to it.
const MAX_NAME: usize = 48;

/// The Postgres schema of a queue's tables. [`Schema::default`] is `apalis`.
///
/// Queues in different schemas of a database know nothing of each other: each schema has its own tables, its own
/// migrations and its own channel. Every statement names the schema, so `search_path` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// `None`: the default.
    name: Option<Arc<str>>,
}

/// A text that is not the name of a [`Schema`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a schema name: 1 to 48 of a-z, 0-9 and _ are expected, no digit first, and no pg_ prefix")]
pub struct InvalidSchema(String);

impl Schema {
    /// A schema of another name: 1 to 48 characters of `a-z`, `0-9` and `_`, the first not a digit, not starting with
    /// `pg_`.
    ///
    /// # Errors
    /// Where the name is something else.
    pub fn new(name: &str) -> Result<Self, InvalidSchema> {
        let is_word = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        let is_digit_first = name.starts_with(|first: char| first.is_ascii_digit());
        if name.is_empty() || name.len() > MAX_NAME || !is_word || is_digit_first || name.starts_with("pg_") {
            return Err(InvalidSchema(name.to_owned()));
        }
        Ok(Self { name: (name != DEFAULT).then(|| name.into()) })
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(DEFAULT)
    }

    /// The channel on which workers are notified of new jobs: the name and `_jobs`.
    pub fn channel(&self) -> String {
        format!("{}_jobs", self.name())
    }

    /// A statement that is written for the default schema, for this one.
    pub(crate) fn sql(&self, statement: &'static str) -> SqlStr {
        self.rewrite(Cow::Borrowed(statement))
    }

    /// The same for a statement with one placeholder, which becomes a number. For numbers that the planner must see.
    pub(crate) fn sql_with(&self, statement: &str, placeholder: &str, number: usize) -> SqlStr {
        self.rewrite(Cow::Owned(statement.replace(placeholder, &number.to_string())))
    }

    fn rewrite(&self, statement: Cow<'static, str>) -> SqlStr {
        let Some(name) = &self.name else { return AssertSqlSafe(statement).into_sql_str() };
        // The name is checked, and quoted because it may be a reserved word.
        let statement =
            statement.replace("'apalis_jobs'", &format!("'{name}_jobs'")).replace("apalis.", &format!("\"{name}\"."));
        AssertSqlSafe(statement).into_sql_str()
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_identifiers_are_names() {
        for name in ["jobs", "_x1", "order", "apalis", &"a".repeat(48)] {
            assert_eq!(Schema::new(name).unwrap().name(), name);
        }
        for name in ["", "Jobs", "1a", "a b", "a\"; DROP TABLE x; --", "a.b", "pg_jobs", "ä", &"a".repeat(49)] {
            assert_eq!(Schema::new(name), Err(InvalidSchema(name.to_owned())));
        }
    }

    #[test]
    fn statements_are_rewritten_for_another_schema() {
        let statement = "SELECT pg_notify('apalis_jobs', id) FROM apalis.jobs";
        assert_eq!(Schema::default().sql(statement).as_str(), statement);
        assert_eq!(Schema::new("apalis").unwrap(), Schema::default());
        let order = Schema::new("order").unwrap();
        assert_eq!(order.sql(statement).as_str(), "SELECT pg_notify('order_jobs', id) FROM \"order\".jobs");
        assert_eq!(order.channel(), "order_jobs");
    }
}
