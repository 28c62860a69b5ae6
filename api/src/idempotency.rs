//! Requests that create something and may be sent again: with the header `Idempotency-Key`
//! (draft-ietf-httpapi-idempotency-key-header-07), the same request is answered as before and creates nothing more.
//!
//! An operation that creates something takes the header, compares the [`Fingerprint`] of its request with the answered one if
//! there is one, and otherwise claims the key in the transaction of what it creates. Only successful answers are recorded.

use std::{marker::PhantomData, time::Duration};

use darkroom_model::Owner;
use darkroom_shared::{
    database::Database,
    idempotency::{self, Answer, Answered, IdempotencyKey},
};
use poem::{IntoResponse, Response, http::header::CONTENT_TYPE};
use poem_openapi::{
    payload::Payload,
    registry::{MetaSchemaRef, Registry},
    types::{ToJSON, Type},
};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use crate::error::ApiError;

/// The name of the header.
pub(crate) const HEADER: &str = "Idempotency-Key";
/// `SQLSTATE` `lock_not_available`: the statement has waited for `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// The key of a request.
#[derive(Clone, Debug)]
pub(crate) struct RequestKey {
    owner: Owner,
    key: IdempotencyKey,
    /// How long answers are given again.
    lifetime: Duration,
}

impl RequestKey {
    /// The key in the header of a request of this owner.
    ///
    /// # Errors
    /// The header has another form.
    pub(crate) fn parse(header: Option<&str>, owner: Owner, lifetime: Duration) -> Result<Option<Self>, ApiError> {
        let Some(header) = header else { return Ok(None) };
        let Some(key) = IdempotencyKey::parse(header) else {
            let reason = "must be 1 to 255 ASCII characters, in quotes or without quotes and spaces".to_owned();
            return Err(ApiError::Parameter { name: HEADER, reason });
        };
        Ok(Some(Self { owner, key, lifetime }))
    }

    /// The request that has had this key, if it was answered.
    pub(crate) async fn find(&self, db: &Database) -> Result<Option<Answered>, ApiError> {
        let find = async |db: &mut PgConnection| idempotency::find(db, self.owner, &self.key, self.lifetime).await;
        Ok(db.run(find).await?)
    }

    /// Records the answer, in the transaction of what the request creates and before anything else is written. `false`: another
    /// request has had the key, and nothing may be created. Waits for a request with the same key that is in its transaction.
    ///
    /// # Errors
    /// [`ApiError::IdempotencyKeyInUse`] if that takes too long.
    pub(crate) async fn claim(
        &self,
        tx: &mut PgConnection,
        fingerprint: &Fingerprint,
        answer: &Answer,
    ) -> Result<bool, ApiError> {
        let claimed = idempotency::claim(tx, self.owner, &self.key, &fingerprint.0, answer, self.lifetime).await;
        claimed.map_err(|error| match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
            Some(code) if code == LOCK_NOT_AVAILABLE => ApiError::IdempotencyKeyInUse,
            _ => error.into(),
        })
    }
}

/// SHA-256 of what a request says: of its operation and its fields, not of its bytes, which differ from try to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of this operation and these fields, in this order.
    pub(crate) fn new(operation: &str, fields: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for field in std::iter::once(operation.as_bytes()).chain(fields.iter().copied()) {
            // With its length, so that no two lists of fields have the same bytes.
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        Self(hash.finalize().into())
    }

    /// The answer to the request that has had the same key.
    ///
    /// # Errors
    /// That was another request.
    pub(crate) fn answer(&self, answered: Answered) -> Result<Answer, ApiError> {
        if answered.fingerprint == self.0 { Ok(answered.answer) } else { Err(ApiError::IdempotencyKeyReused) }
    }
}

/// The body of a response that can be sent again: the JSON of a `T`.
pub(crate) struct RepeatableJson<T> {
    text: String,
    of: PhantomData<fn() -> T>,
}

impl<T: ToJSON> From<&T> for RepeatableJson<T> {
    fn from(value: &T) -> Self {
        Self { text: value.to_json_string(), of: PhantomData }
    }
}

impl<T> RepeatableJson<T> {
    /// What was sent before.
    pub(crate) fn again(text: String) -> Self {
        Self { text, of: PhantomData }
    }
}

impl<T: Type> Payload for RepeatableJson<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> IntoResponse for RepeatableJson<T> {
    fn into_response(self) -> Response {
        Response::builder().header(CONTENT_TYPE, Self::CONTENT_TYPE).body(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_with_other_fields_have_another_fingerprint() {
        let fingerprint = Fingerprint::new("upload", &[b"ab", b"c"]);
        assert_eq!(fingerprint, Fingerprint::new("upload", &[b"ab", b"c"]));
        assert_ne!(fingerprint, Fingerprint::new("upload", &[b"a", b"bc"]));
        assert_ne!(fingerprint, Fingerprint::new("upload", &[b"ab", b"c", b""]));
        assert_ne!(fingerprint, Fingerprint::new("uploada", &[b"b", b"c"]));
    }
}
