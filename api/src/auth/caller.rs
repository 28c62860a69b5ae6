//! Who sends a request.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use darkroom_model::Owner;
use darkroom_shared::access::{Actor, Credential, KeyId, Scope, Scopes, UploadGrant};
use poem::Request;

use crate::{
    error::ApiError,
    http::middleware::RequestId,
    limits::{Client, Quotas},
};

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
    /// The quotas that the request has met.
    pub(crate) quotas: Quotas,
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
            quotas: Quotas::of(request),
            address: address(request),
            request_id: id.map(|id| id.0.clone()).unwrap_or_default(),
        }
    }

    /// By whom its requests are counted.
    pub(super) fn client(&self) -> Client {
        self.key.map_or_else(|| client_at(self.address), |key| Client::Key(key.as_uuid()))
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

/// The client's IP address.
fn address(request: &Request) -> Option<IpAddr> {
    request.remote_addr().as_socket_addr().map(std::net::SocketAddr::ip)
}

fn client_at(address: Option<IpAddr>) -> Client {
    Client::at(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

/// By whom requests are counted whose key is refused.
pub(super) fn client_without_key(request: &Request) -> Client {
    client_at(address(request))
}
