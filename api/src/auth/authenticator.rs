//! Whether a request needs a key, and whether its key is valid.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use darkroom_shared::{
    access::{Found, Scope, any_key_exists, prune_audit, prune_upload_tokens},
    database::Database,
    settings::{AccessSettings, AuthMode},
};
use poem::{
    Request,
    http::{
        HeaderMap, HeaderValue,
        header::{AUTHORIZATION, ORIGIN},
    },
};
use sqlx::PgConnection;
use tokio::sync::Mutex;
use tracing::Span;

use super::{
    caller::Caller,
    local::is_local,
    lookup::{Lookup, MAX_AGE},
    refusal::Refusal,
    token::Token,
    uses::Uses,
};
use crate::error::ApiError;

/// Time between two records of uses.
const RECORD_INTERVAL: Duration = Duration::from_mins(1);
/// Records of uses between two removals of old entries of the audit log: an hour.
const RECORDS_PER_PRUNE: u32 = 60;
/// How many entries of the audit log, or upload tokens, one statement removes.
const PRUNE_BATCH: u32 = 1000;

/// Decides who sends a request.
#[derive(Debug)]
pub struct Authenticator {
    db: Database,
    mode: AuthMode,
    audit: Duration,
    lookup: Lookup,
    uses: Uses,
    /// Whether a key has ever been made. Keys are never deleted, so this stays true.
    has_keys: AtomicBool,
    /// When it was last found that there is none.
    had_no_key: Mutex<Option<Instant>>,
}

/// Why the api does not start: it would serve everyone.
#[derive(Debug, thiserror::Error)]
pub enum NoKey {
    /// Nobody could use it, and everybody reach it.
    #[error(
        "there is no API key, and {0} is not a loopback address: make a key with `darkroom-api keys create NAME`, listen on \
         127.0.0.1 (BIND), or let everyone do everything with AUTH=off"
    )]
    NotLoopback(SocketAddr),
    /// The database does not say whether there is one.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Authenticator {
    pub(crate) fn new(db: Database, settings: &AccessSettings) -> Self {
        Self {
            lookup: Lookup::new(db.clone()),
            db,
            mode: settings.auth,
            audit: settings.audit,
            uses: Uses::default(),
            has_keys: AtomicBool::new(false),
            had_no_key: Mutex::default(),
        }
    }

    /// Logs who will be served at this address.
    ///
    /// # Errors
    /// Everyone would be, without having been asked for.
    pub async fn check_start(&self, bind: SocketAddr) -> Result<(), NoKey> {
        if self.mode == AuthMode::Off {
            tracing::warn!("AUTH=off: everyone who reaches this api may do everything");
        } else if self.has_keys().await? {
            tracing::info!("requests need an API key");
        } else if bind.ip().to_canonical().is_loopback() {
            tracing::warn!(
                "there is no API key: requests of this machine need none, until `darkroom-api keys create NAME` makes the first"
            );
        } else {
            return Err(NoKey::NotLoopback(bind));
        }
        Ok(())
    }

    /// Records when keys were used, and removes old entries of the audit log and upload tokens, for ever.
    pub async fn maintain(&self) {
        for round in 0_u32.. {
            self.record_uses().await;
            if round % RECORDS_PER_PRUNE == 0 {
                self.prune().await;
            }
            tokio::time::sleep(RECORD_INTERVAL).await;
        }
    }

    /// Writes down when keys were used since the last time.
    pub async fn record_uses(&self) {
        self.uses.record(&self.db).await;
    }

    async fn prune(&self) {
        let limit = i64::from(PRUNE_BATCH);
        let prune = async |db: &mut PgConnection| -> Result<u64, sqlx::Error> {
            Ok(prune_audit(db, self.audit, limit).await?.max(prune_upload_tokens(db, limit).await?))
        };
        loop {
            match self.db.run(prune).await {
                Ok(removed) if removed < PRUNE_BATCH.into() => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("cannot remove old entries of the audit log and upload tokens: {error}");
                    return;
                }
            }
        }
    }

    /// Who sends the request.
    ///
    /// # Errors
    /// It may not use an operation that needs this scope.
    pub(super) async fn authorize(&self, request: &Request, scope: Scope) -> Result<Caller, ApiError> {
        self.caller(request).await?.require(scope)
    }

    /// Who sends an upload.
    ///
    /// # Errors
    /// It has neither the scope `write` nor an upload token for its page.
    pub(super) async fn authorize_upload(&self, request: &Request) -> Result<Caller, ApiError> {
        let caller = self.caller(request).await?;
        let Some(grant) = &caller.upload else { return caller.require(Scope::Write) };
        let origin = request.headers().get(ORIGIN).map(HeaderValue::as_bytes);
        if grant.origin.as_deref().is_some_and(|allowed| origin != Some(allowed.as_bytes())) {
            return Err(ApiError::NotGranted("The upload token is for the pages of another site.".to_owned()));
        }
        Ok(caller)
    }

    async fn caller(&self, request: &Request) -> Result<Caller, ApiError> {
        if self.mode == AuthMode::Off {
            return Ok(Caller::anonymous(request));
        }
        let Some(token) = bearer_token(request.headers())? else {
            return match (self.has_keys().await?, is_local(request)) {
                (true, _) => Err(Refusal::NoKey.into()),
                (false, true) => Ok(Caller::anonymous(request)),
                (false, false) => Err(Refusal::NotLocal.into()),
            };
        };
        match self.lookup.find(token.hash().digest).await? {
            Found::Valid(credential) => {
                self.uses.add(credential.key);
                Span::current().record("key", credential.prefix.as_str()).record("owner", credential.owner.id());
                Ok(Caller::with_key(request, &credential))
            }
            Found::Expired => Err(Refusal::Expired.into()),
            Found::Revoked => Err(Refusal::Revoked.into()),
            Found::Unknown => Err(Refusal::Unknown.into()),
        }
    }

    /// Whether a key was ever made; no answer is older than [`MAX_AGE`].
    async fn has_keys(&self) -> Result<bool, sqlx::Error> {
        if self.has_keys.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let mut had_no_key = self.had_no_key.lock().await;
        if had_no_key.is_some_and(|time| time.elapsed() < MAX_AGE) {
            return Ok(false);
        }
        let began = Instant::now();
        let exists = self.db.run(async |db| any_key_exists(db).await).await?;
        if exists {
            self.has_keys.store(true, Ordering::Relaxed);
            if had_no_key.is_some() {
                tracing::info!("the first API key was made: requests need one from now on");
            }
        }
        *had_no_key = Some(began);
        Ok(exists)
    }
}

/// The key in the `Authorization` header (RFC 6750, section 2.1); `None` without the header.
fn bearer_token(headers: &HeaderMap) -> Result<Option<Token>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Refusal::NotBearer)?;
    // With several headers it is not clear which one a proxy in front has checked.
    if !scheme.eq_ignore_ascii_case("bearer") || values.next().is_some() {
        return Err(Refusal::NotBearer);
    }
    Ok(Some(token.trim_matches(' ').parse().map_err(|_| Refusal::Mistyped)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_only_bearer_token() {
        let token = Token::generate();
        let parse = |values: &[String]| {
            let value = |value: &String| (AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            let mut headers = HeaderMap::new();
            for (name, value) in values.iter().map(value) {
                headers.append(name, value);
            }
            bearer_token(&headers)
        };
        let text = token.expose();
        assert_eq!(parse(&[]), Ok(None));
        for value in [format!("Bearer {text}"), format!("bearer  {text} ")] {
            assert_eq!(parse(&[value]), Ok(Some(token.clone())));
        }
        for value in [text.to_owned(), format!("Basic {text}"), format!("Bearer{text}"), String::new()] {
            assert_eq!(parse(&[value]), Err(Refusal::NotBearer));
        }
        for value in ["Bearer dk_1", "Bearer ", "Bearer x y"] {
            assert_eq!(parse(&[value.to_owned()]), Err(Refusal::Mistyped), "{value}");
        }
        assert_eq!(parse(&[format!("Bearer {text}"), format!("Bearer {text}")]), Err(Refusal::NotBearer));
    }
}
