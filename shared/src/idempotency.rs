//! The answers to requests with an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): the same request of the same
//! owner is answered again and creates nothing twice.
//!
//! A key is claimed in the transaction of what its request creates. A concurrent duplicate waits for that transaction at the
//! unique index. There is no state of a request that has begun, so a crash leaves none.

use std::time::Duration;

use sqlx::{PgConnection, postgres::types::PgInterval};

use darkroom_model::Owner;

/// The key of a request: 1 to 255 visible ASCII characters or spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// Maximum length of a key, in characters.
const MAX_CHARS: usize = 255;

impl IdempotencyKey {
    /// Parses the value of the header: a String of RFC 9651 (section 3.3.3), in quotes, or the same without quotes, as most
    /// clients send it. `None`: neither, or the key is empty or too long.
    pub fn parse(header: &str) -> Option<Self> {
        let key = match header.strip_prefix('"') {
            Some(rest) => unquote(rest)?,
            None if header.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') => header.to_owned(),
            None => return None,
        };
        (1..=MAX_CHARS).contains(&key.len()).then_some(Self(key))
    }
}

/// The String that begins after its first quote and must end with the text.
fn unquote(rest: &str) -> Option<String> {
    let mut key = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(key),
            '\\' => key.push(chars.next().filter(|char| ['"', '\\'].contains(char))?),
            char @ ' '..='~' => key.push(char),
            _ => return None,
        }
    }
}

/// A response that can be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The body, JSON.
    pub body: String,
    /// The header `Location`.
    pub location: String,
}

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// SHA-256 of the request.
    pub fingerprint: Vec<u8>,
    /// How it was answered.
    pub answer: Answer,
}

/// The request of this owner with this key, if it was answered less than `lifetime` ago.
///
/// # Errors
/// Those of the statement.
pub async fn find(
    db: &mut PgConnection,
    owner: Owner,
    key: &IdempotencyKey,
    lifetime: Duration,
) -> Result<Option<Answered>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT fingerprint, answer, location FROM idempotency_keys
         WHERE owner = $1 AND key = $2 AND created_at > now() - $3::interval",
        owner.id(),
        key.0,
        interval(lifetime)
    );
    let row = row.fetch_optional(db).await?;
    Ok(row.map(|row| {
        let answer = Answer { body: row.answer, location: row.location };
        Answered { fingerprint: row.fingerprint, answer }
    }))
}

/// Records the answer to a request, in the transaction of what the request creates and before anything else is written.
/// `false`: a request with this key was answered less than `lifetime` ago, and nothing is to be created. Waits for a concurrent
/// transaction with the same key.
///
/// # Errors
/// Those of the statement; `SQLSTATE 55P03` when the concurrent transaction takes longer than `lock_timeout`.
pub async fn claim(
    tx: &mut PgConnection,
    owner: Owner,
    key: &IdempotencyKey,
    fingerprint: &[u8; 32],
    answer: &Answer,
    lifetime: Duration,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "INSERT INTO idempotency_keys AS stored (owner, key, fingerprint, answer, location) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (owner, key) DO UPDATE
         SET fingerprint = excluded.fingerprint, answer = excluded.answer, location = excluded.location, created_at = now()
         WHERE stored.created_at <= now() - $6::interval",
        owner.id(),
        key.0,
        fingerprint,
        answer.body,
        answer.location,
        interval(lifetime)
    );
    Ok(done.execute(tx).await?.rows_affected() == 1)
}

/// Removes answers that are older than `lifetime`, at most `limit`, oldest first. Returns how many.
///
/// # Errors
/// Those of the statement.
pub async fn prune(db: &mut PgConnection, lifetime: Duration, limit: i64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "DELETE FROM idempotency_keys WHERE (owner, key) IN (
             SELECT owner, key FROM idempotency_keys WHERE created_at <= now() - $1::interval
             ORDER BY created_at LIMIT $2)",
        interval(lifetime),
        limit
    );
    Ok(done.execute(db).await?.rows_affected())
}

fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_key_equals_the_bare_one() {
        let key = |text: &str| IdempotencyKey::parse(text).map(|key| key.0);
        assert_eq!(key("8e03978e-40d5"), key("\"8e03978e-40d5\""));
        assert_eq!(key(r#""a \"b\" \\""#).as_deref(), Some(r#"a "b" \"#));
        assert_eq!(key(&"x".repeat(255)).map(|key| key.len()), Some(255));
        assert_eq!(key(&format!("\"{}\"", "x".repeat(255))).map(|key| key.len()), Some(255));
    }

    #[test]
    fn what_is_no_string_is_no_key() {
        for text in ["", "\"\"", "\"x", "x\"", "\"x\"y", "a b", "\"a\\b\"", "\"\u{7}\"", "\"ä\"", "ä", "\"x\";a=1"] {
            assert_eq!(IdempotencyKey::parse(text), None, "{text}");
        }
        assert_eq!(IdempotencyKey::parse(&"x".repeat(256)), None);
    }
}
