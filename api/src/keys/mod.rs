//! The resource `/v1/keys`: a key with the scope `admin` administers the keys of its own owner.
//!
//! | module | contents |
//! |---|---|
//! | `wire`, `scope` | keys and scopes in JSON |
//! | `responses` | the responses and problems of each operation |

mod responses;
pub(crate) mod scope;
mod wire;

use std::time::Duration;

use chrono::{DateTime, Utc};
use darkroom_model::recipe::InvalidField;
use darkroom_shared::access::{self, KeyChange, KeyId, KeyName, NewKey, Scopes};
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};
use sqlx::PgConnection;
use uuid::Uuid;

use self::{
    responses::{
        CreateKeyProblems, CreateKeyResponse, KeyProblems, KeyResponse, ListKeysProblems, ListKeysResponse,
        RenameKeyProblems, RevokeKeyResponse, RotateKeyProblems, RotateKeyResponse,
    },
    wire::{ApiKeyPage, ApiKeyPatch, ApiKeyWithSecret, NewApiKey},
};
use crate::{
    App, Tag,
    auth::{Caller, Token, scheme::Admin},
    error::ApiError,
    http::json::JsonBody,
    operation_error::Result,
    paging::{Cursor, PageSize},
};

/// The resource `/v1/keys`.
pub(crate) struct Keys {
    app: App,
}

const NO_KEY: ApiError = ApiError::NotFound("API key");

impl Keys {
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }
}

#[OpenApi(prefix_path = "/v1/keys", tag = "Tag::Access")]
impl Keys {
    /// Make an API key
    ///
    /// The key belongs to the owner of the caller's key, and does not outlive it. The response has the key itself, which is not
    /// stored and cannot be shown again.
    #[oai(path = "/", method = "post", operation_id = "create_key")]
    async fn create(
        &self,
        Admin(caller): Admin,
        new: JsonBody<NewApiKey>,
    ) -> Result<CreateKeyResponse, CreateKeyProblems> {
        let (token, new) = (Token::generate(), new_key(new.0, &caller)?);
        let create = async |db: &mut PgConnection| {
            access::create_key(db, &caller.actor(), caller.owner, &new, &token.hash()).await
        };
        let key = self.app.db.transaction(create).await?;
        tracing::info!(made = key.prefix, "an API key was made");
        let location = format!("/v1/keys/{}", key.id);
        Ok(CreateKeyResponse::Created(Json(ApiKeyWithSecret::new(&token, key)), location))
    }

    /// List API keys
    ///
    /// The keys of the caller's owner, newest first, in pages; revoked and expired ones too.
    #[oai(path = "/", method = "get", operation_id = "list_keys")]
    async fn list(
        &self,
        Admin(caller): Admin,
        /// The maximum number of keys on the page.
        limit: Query<Option<PageSize>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<Cursor>>,
    ) -> Result<ListKeysResponse, ListKeysProblems> {
        let limit = limit.0.unwrap_or(PageSize::DEFAULT);
        let before = cursor.0.map(|cursor| KeyId::from_uuid(cursor.0));
        let list = async |db: &mut PgConnection| access::list_keys(db, caller.owner, before, limit.with_next()).await;
        let mut keys = self.app.db.run(list).await?;
        let next_cursor = limit.cut(&mut keys, |key| key.id.as_uuid());
        let items = keys.into_iter().map(Into::into).collect();
        Ok(ListKeysResponse::Page(Json(ApiKeyPage { items, next_cursor })))
    }

    /// Get an API key
    ///
    /// Without the key itself.
    #[oai(path = "/:id", method = "get", operation_id = "get_key")]
    async fn get(
        &self,
        Admin(caller): Admin,
        /// The key's id.
        id: Path<Uuid>,
    ) -> Result<KeyResponse, KeyProblems> {
        let id = KeyId::from_uuid(id.0);
        let key = self.app.db.run(async |db| access::get_key(db, caller.owner, id).await).await?;
        Ok(KeyResponse::Key(Json(key.ok_or(NO_KEY)?.into())))
    }

    /// Rename an API key
    ///
    /// Its rights and the key itself stay as they are.
    #[oai(path = "/:id", method = "patch", operation_id = "rename_key")]
    async fn rename(
        &self,
        Admin(caller): Admin,
        /// The key's id.
        id: Path<Uuid>,
        patch: JsonBody<ApiKeyPatch>,
    ) -> Result<KeyResponse, RenameKeyProblems> {
        let (id, name) = (KeyId::from_uuid(id.0), key_name(&patch.0.name)?);
        let rename =
            async |db: &mut PgConnection| access::rename_key(db, &caller.actor(), caller.owner, id, &name).await;
        let key = self.app.db.transaction(rename).await?;
        Ok(KeyResponse::Key(Json(key.ok_or(NO_KEY)?.into())))
    }

    /// Rotate an API key
    ///
    /// Gives it a new secret; all else stays. The secret before works for `overlap_seconds` longer. To end a key that others know,
    /// rotate it without overlap, or revoke it.
    #[oai(path = "/:id/rotate", method = "post", operation_id = "rotate_key")]
    async fn rotate(
        &self,
        Admin(caller): Admin,
        /// The key's id.
        id: Path<Uuid>,
        /// How long the secret before the rotation still works, in seconds, at most a week. Default: 0.
        #[oai(validator(minimum(value = "0"), maximum(value = "604800")))]
        overlap_seconds: Query<Option<u32>>,
    ) -> Result<RotateKeyResponse, RotateKeyProblems> {
        let (token, id) = (Token::generate(), KeyId::from_uuid(id.0));
        let overlap = Duration::from_secs(overlap_seconds.0.unwrap_or(0).into());
        let rotate = async |db: &mut PgConnection| {
            access::rotate_key(db, &caller.actor(), caller.owner, id, &token.hash(), overlap).await
        };
        match self.app.db.transaction(rotate).await? {
            KeyChange::Done(key) => {
                tracing::info!(rotated = %id, now = key.prefix, "an API key was rotated");
                Ok(RotateKeyResponse::Rotated(Json(ApiKeyWithSecret::new(&token, key))))
            }
            KeyChange::Ended => Err(ApiError::KeyEnded.into()),
            KeyChange::NotFound => Err(NO_KEY.into()),
        }
    }

    /// Revoke an API key
    ///
    /// For ever, within 2 seconds, also its own. Requests that have begun are finished. The key stays in the list.
    #[oai(path = "/:id", method = "delete", operation_id = "revoke_key")]
    async fn revoke(
        &self,
        Admin(caller): Admin,
        /// The key's id.
        id: Path<Uuid>,
    ) -> Result<RevokeKeyResponse, KeyProblems> {
        let id = KeyId::from_uuid(id.0);
        let revoke = async |db: &mut PgConnection| access::revoke_key(db, &caller.actor(), caller.owner, id).await;
        match self.app.db.transaction(revoke).await? {
            KeyChange::Done(key) => tracing::info!(revoked = key.prefix, "an API key was revoked"),
            KeyChange::Ended => {}
            KeyChange::NotFound => return Err(NO_KEY.into()),
        }
        Ok(RevokeKeyResponse::Revoked)
    }
}

/// Checks a key that the caller wants to make. It gives no more than the caller has: `admin` includes every scope, and it ends
/// no later.
fn new_key(new: NewApiKey, caller: &Caller) -> std::result::Result<NewKey, ApiError> {
    let name = key_name(&new.name)?;
    let max = access::Scope::ALL.len();
    if !(1..=max).contains(&new.scopes.len()) {
        return Err(InvalidField { field: "scopes", reason: format!("must have 1 to {max}.") }.into());
    }
    let scopes: Scopes = new.scopes.into_iter().map(access::Scope::from).collect();
    let expires_at = new.expires_at.or(caller.expires_at);
    if let Some(reason) = expires_at.and_then(|expires_at| invalid_expiry(expires_at, caller.expires_at)) {
        return Err(InvalidField { field: "expires_at", reason: reason.to_owned() }.into());
    }
    Ok(NewKey { name, scopes, expires_at })
}

fn invalid_expiry(expires_at: DateTime<Utc>, of_caller: Option<DateTime<Utc>>) -> Option<&'static str> {
    if expires_at <= Utc::now() {
        return Some("must be in the future.");
    }
    of_caller.filter(|latest| expires_at > *latest).map(|_| "must not be later than that of the key that makes it.")
}

fn key_name(text: &str) -> std::result::Result<KeyName, ApiError> {
    text.parse().map_err(|error| InvalidField { field: "name", reason: format!("{error}.") }.into())
}
