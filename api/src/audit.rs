//! The resource `/v1/audit`: administrative actions, with their actor, time and client address.

use chrono::{DateTime, Utc};
use darkroom_shared::access::{AuditEntry, KeyId, list_audit};
use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    App, Tag,
    auth::scheme::Admin,
    http::problem,
    operation_error::{Documented, DocumentedProblems, INTERNAL, Result, UNAVAILABLE},
    paging::{Cursor, PageSize},
};

/// Something administrative that was done.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct AuditRecord {
    /// Sorts by time.
    id: Uuid,
    /// When it was done.
    at: DateTime<Utc>,
    /// What was done, for programs: `key.created`, `key.renamed`, `key.rotated`, `key.revoked` or `owner.created`. New actions may be
    /// added.
    action: String,
    /// The kind of who did it: `key`, by a request with a key; `operator`, by a command of `darkroom-api`; `anonymous`, by a request
    /// while none needed a key.
    actor: String,
    /// The id of the key with which it was done.
    actor_key_id: Option<Uuid>,
    /// The id of the key that was changed.
    key_id: Option<Uuid>,
    /// What was done, for people.
    detail: String,
    /// The IP address of the client, or of the proxy in front of the api.
    address: Option<String>,
    /// The `X-Request-Id` of the request.
    request_id: Option<String>,
}

/// A page of the audit log, newest first.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct AuditPage {
    /// The entries.
    items: Vec<AuditRecord>,
    /// The `cursor` of the next page. Absent on the last page.
    next_cursor: Option<String>,
}

#[derive(ApiResponse)]
enum AuditResponse {
    /// A page of the audit log.
    #[oai(status = 200, content_type = "application/json")]
    Page(Json<AuditPage>),
}

struct AuditProblems;

impl DocumentedProblems for AuditProblems {
    const LIST: &'static [Documented] =
        &[(&problem::INVALID_PARAMETER, "A parameter is invalid; `parameter` has its name."), UNAVAILABLE, INTERNAL];
}

/// The resource `/v1/audit`.
pub(crate) struct Audit {
    app: App,
}

impl Audit {
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }
}

#[OpenApi(prefix_path = "/v1/audit", tag = "Tag::Access")]
impl Audit {
    /// Read the audit log
    ///
    /// What was done with the keys of the caller's owner, newest first, in pages. Entries are kept for `AUDIT_DAYS`.
    #[oai(path = "/", method = "get", operation_id = "list_audit")]
    async fn list(
        &self,
        Admin(caller): Admin,
        /// The maximum number of entries on the page.
        limit: Query<Option<PageSize>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<Cursor>>,
    ) -> Result<AuditResponse, AuditProblems> {
        let limit = limit.0.unwrap_or(PageSize::DEFAULT);
        let before = cursor.0.map(|cursor| cursor.0);
        let list = async |db: &mut PgConnection| list_audit(db, caller.owner, before, limit.with_next()).await;
        let mut entries = self.app.db.run(list).await?;
        let next_cursor = limit.cut(&mut entries, |entry| entry.id);
        let items = entries.into_iter().map(AuditRecord::from).collect();
        Ok(AuditResponse::Page(Json(AuditPage { items, next_cursor })))
    }
}

impl From<AuditEntry> for AuditRecord {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            action: entry.action,
            actor: entry.actor,
            actor_key_id: entry.actor_key.map(KeyId::as_uuid),
            key_id: entry.subject.map(KeyId::as_uuid),
            detail: entry.detail,
            address: entry.address,
            request_id: entry.request_id,
        }
    }
}
