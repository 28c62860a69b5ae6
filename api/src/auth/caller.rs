//! Who sends a request.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use darkroom_model::Owner;
use darkroom_shared::access::{Actor, Credential, KeyId, Scope, Scopes, UploadGrant};
use poem::Request;

use crate::{error::ApiError, http::middleware::RequestId};

/// Who sends a request, and on whose behalf.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Whose images and keys the request may see and change. All else does not exist for it.
    pub(crate) owner: Owner,
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// From when its key is refused.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// Its key or upload token; `None`: the request needed none.
    pub(crate) key: Option<KeyId>,
    /// What its upload token allows; `None`: it has none.
    pub(crate) upload: Option<Arc<UploadGrant>>,
    address: Option<IpAddr>,
    request_id: String,
}

impl Caller {
    /// Who sends a request with a valid key.
    pub(super) fn with_key(request: &Request, credential: &Credential) -> Self {
        let &Credential { key, owner, scopes, expires_at, .. } = credential;
        let upload = credential.upload.clone();
        Self { owner, scopes, expires_at, key: Some(key), upload, ..Self::anonymous(request) }
    }

    /// Who sends a request that needs no key.
    pub(super) fn anonymous(request: &Request) -> Self {
        let id = request.extensions().get::<RequestId>();
        Self {
            owner: Owner::DEFAULT,
            scopes: Scopes::all(),
            expires_at: None,
            key: None,
            upload: None,
            address: request.remote_addr().as_socket_addr().map(std::net::SocketAddr::ip),
            request_id: id.map(|id| id.0.clone()).unwrap_or_default(),
        }
    }

    /// Fails if its key lacks a scope.
    pub(super) fn require(self, required: Scope) -> Result<Self, ApiError> {
        if self.scopes.allow(required) { Ok(self) } else { Err(ApiError::MissingScope { required, held: self.scopes }) }
    }

    /// The caller in the audit log.
    pub(crate) fn actor(&self) -> Actor {
        Actor { key: self.key, address: self.address, request_id: Some(self.request_id.clone()) }
    }
}
