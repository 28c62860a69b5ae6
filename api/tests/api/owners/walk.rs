//! Every operation of the `OpenAPI` document with the ids of another owner, and every list.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use super::tenant::{CREDENTIALS, IDS, Tenant};
use crate::harness::{Api, ApiResponse, file, png};

/// An operation of the `OpenAPI` document.
struct Operation {
    id: String,
    method: Method,
    /// With parameters in braces.
    path: String,
}

impl Operation {
    /// Every operation, and HEAD where there is GET.
    fn all() -> Vec<Self> {
        let spec: Value = serde_json::from_str(&darkroom_api::spec_json()).unwrap();
        let mut operations = Vec::new();
        for (path, methods) in spec["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let method: Method = method.to_uppercase().parse().unwrap();
                let head = (method == Method::GET).then_some(Method::HEAD);
                let id = operation["operationId"].as_str().unwrap();
                assert_eq!(
                    operation.get("requestBody").is_some(),
                    has_body(id),
                    "{id} needs a body, or none, in this test"
                );
                operations.extend([Some(method), head].into_iter().flatten().map(|method| Self {
                    id: id.to_owned(),
                    method,
                    path: path.clone(),
                }));
            }
        }
        operations
    }

    /// Whether a request has an id of something that exists already: in its path, or the overlay of an upload.
    fn takes_id(&self) -> bool {
        self.path.contains("{id}") || self.id == "upload_image"
    }

    /// Whether it shows what has the id in its path.
    fn reads_by_id(&self) -> bool {
        self.path.contains("{id}") && self.method.is_safe()
    }

    /// A valid request with this id wherever one can be.
    fn request(&self, api: &Api, id: &str) -> RequestBuilder {
        let path = self.path.replace("{id}", id).replace("{name}", "w320.webp");
        assert!(!path.contains('{'), "{path} has a parameter without a value in this test");
        let request = api.http.request(self.method.clone(), format!("{}{path}", api.url));
        match self.id.as_str() {
            "upload_image" => request.multipart(file(png(1, 1)).text("overlay", id.to_owned())),
            "create_key" => request.json(&json!({ "name": "x", "scopes": ["admin"] })),
            "rename_key" => request.json(&json!({ "name": "x" })),
            "create_upload_token" => request.json(&json!({})),
            "patch_image" => request.json(&json!({ "title": "x" })),
            _ => request,
        }
    }
}

fn has_body(operation: &str) -> bool {
    ["upload_image", "create_key", "rename_key", "create_upload_token", "patch_image"].contains(&operation)
}

/// A response without what differs from request to request.
fn comparable(response: &ApiResponse) -> (u16, String) {
    let id = response.header("x-request-id").unwrap();
    (response.status.as_u16(), response.text.replace(id, ""))
}

/// Whether the operation finds one of the tenant's ids with its own key.
async fn is_found_by(api: &Api, tenant: &Tenant, operation: &Operation) -> bool {
    for id in IDS {
        let response = api.send_as(Some(tenant.value("all")), operation.request(api, tenant.value(id))).await;
        if response.status.as_u16() < 400 {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn what_is_anothers_looks_as_if_it_did_not_exist() {
    let api = Api::start().await;
    let [amber, birch] = Tenant::two(&api).await;
    for (attacker, victim) in [(&amber, &birch), (&birch, &amber)] {
        let before = victim.stored(&api).await;
        for operation in Operation::all() {
            if operation.reads_by_id() {
                assert!(is_found_by(&api, victim, &operation).await, "{} does not find its owner's own", operation.id);
            }
            for credential in CREDENTIALS {
                let send =
                    async |id: &str| api.send_as(Some(attacker.value(credential)), operation.request(&api, id)).await;
                let at = format!("{} {} with the credential {credential}", operation.method, operation.path);
                if !operation.takes_id() {
                    let response = send("").await;
                    let found: Vec<_> = victim.found_in(&response.text).collect();
                    assert!(found.is_empty(), "{at}: {found:?} in {}", response.text);
                    continue;
                }
                let unknown = send(&Uuid::now_v7().to_string()).await;
                assert!([403, 404, 422].contains(&unknown.status.as_u16()), "{at}: {}", unknown.text);
                for name in IDS {
                    let response = send(victim.value(name)).await;
                    assert_eq!(comparable(&response), comparable(&unknown), "{at} and the id of another's {name}");
                }
            }
        }
        assert_eq!(victim.stored(&api).await, before);
    }
}

#[tokio::test]
async fn lists_have_everything_of_their_owner_and_nothing_of_others() {
    let api = Api::start().await;
    let [amber, birch] = Tenant::two(&api).await;
    for (tenant, other) in [(&amber, &birch), (&birch, &amber)] {
        for (path, rows) in [
            ("/v1/images?limit=1", "images WHERE owner = $1"),
            ("/v1/images?limit=1&status=queued", "image_states WHERE owner = $1 AND status = 'queued'"),
            ("/v1/images?limit=1&status=ready", "image_states WHERE owner = $1 AND status = 'ready'"),
            ("/v1/images?limit=1&title=secret", "images WHERE owner = $1 AND title LIKE '%Secret%'"),
            ("/v1/keys?limit=1", "api_keys WHERE owner = $1 AND kind = 'key'"),
            ("/v1/audit?limit=1", "audit WHERE owner = $1"),
        ] {
            let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {rows}"));
            let expected: i64 = sqlx::query_scalar(sql).bind(tenant.owner.id()).fetch_one(api.db()).await.unwrap();
            let (mut cursor, mut items) = (String::new(), Vec::new());
            loop {
                let page = tenant.get(&api, &format!("{path}{cursor}")).await;
                items.extend(page["items"].as_array().unwrap().clone());
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(i64::try_from(items.len()).unwrap(), expected, "{path}");
            let text = json!(items).to_string();
            let found: Vec<_> = other.found_in(&text).collect();
            assert!(found.is_empty() && tenant.found_in(&text).count() > 0, "{path}: {found:?} in {text}");
        }
    }
}
