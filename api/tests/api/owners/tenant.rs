//! An owner with something of every kind.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use darkroom_api::Token;
use darkroom_model::Owner;
use darkroom_shared::access::{Actor, Scope, Scopes, create_owner};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::{
    harness::{Api, file, png},
    images::render_of,
};

/// The page of the upload token `paged`.
pub(super) const PAGE: &str = "https://app.example";
/// The content of the rendition.
const RENDITION: &str = "webp";

/// The keys of a tenant.
const KEYS: [(&str, &[Scope]); 4] = [
    ("all", &[Scope::Read, Scope::Write, Scope::Admin]),
    ("read", &[Scope::Read]),
    ("write", &[Scope::Write]),
    ("admin", &[Scope::Admin]),
];

/// What a tenant may present in `Authorization`: its keys and an upload token.
pub(super) const CREDENTIALS: [&str; 5] = ["all", "read", "write", "admin", "token"];

/// The ids of a tenant.
pub(super) const IDS: [&str; 4] = ["image", "ready", "key_id", "token_id"];

/// An owner with images, keys, upload tokens and entries of the audit log.
pub(super) struct Tenant {
    pub(super) owner: Owner,
    /// Its ids, keys, tokens, cursors and URLs, by name.
    pub(super) values: BTreeMap<&'static str, String>,
}

impl Tenant {
    /// Two tenants of one api: the owner `default` and another.
    pub(super) async fn two(api: &Api) -> [Self; 2] {
        let mut db = api.db().acquire().await.unwrap();
        let other = create_owner(&mut db, &Actor::OPERATOR, &"other".parse().unwrap()).await.unwrap().unwrap();
        drop(db);
        [Self::new(api, Owner::DEFAULT, "amber").await, Self::new(api, other, "birch").await]
    }

    /// `word`: it is in everything that the tenant names.
    async fn new(api: &Api, owner: Owner, word: &str) -> Self {
        let mut tenant = Self { owner, values: BTreeMap::from([("word", word.to_owned())]) };
        for (name, scopes) in KEYS {
            tenant.add_key(api, name, scopes, None).await;
        }
        tenant.add_images(api).await;
        tenant.add_keys(api).await;
        tenant.add_tokens(api).await;
        for (name, path) in [("cursor", "/v1/images"), ("keys_cursor", "/v1/keys"), ("audit_cursor", "/v1/audit")] {
            let page = tenant.get(api, &format!("{path}?limit=1")).await;
            tenant.set(name, &page["next_cursor"]);
        }
        tenant
    }

    pub(super) fn value(&self, name: &str) -> &str {
        &self.values[name]
    }

    /// The values that the text contains. Of names, ids and secrets there is nothing to see for other owners.
    pub(super) fn found_in<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let text = text.to_lowercase();
        let is_found = move |value: &&str| text.contains(&value.to_lowercase());
        self.values
            .iter()
            .filter(|(name, _)| !name.ends_with("cursor"))
            .map(|(_, value)| value.as_str())
            .filter(is_found)
    }

    async fn add_images(&mut self, api: &Api) {
        for name in ["image", "ready"] {
            let title = format!("Secret picture of {}", self.value("word"));
            let form = file(png(3, 2)).text("title", title).text("lane", self.value("word").to_owned());
            let image = self.send(api, "all", post(api, "/v1/images").multipart(form)).await;
            self.set(name, &image["id"]);
        }
        let ready = self.value("ready").to_owned();
        render_of(api, self.owner, &ready, RENDITION.as_bytes()).await;
        let image = self.get(api, &format!("/v1/images/{ready}")).await;
        self.set("url", &image["renditions"][0]["url"]);
    }

    /// Adds keys that are refused, and one that is not.
    async fn add_keys(&mut self, api: &Api) {
        let new = json!({ "name": format!("Secret key of {}", self.value("word")), "scopes": ["read"] });
        let key = self.send(api, "all", post(api, "/v1/keys").json(&new)).await;
        for (name, member) in [("key_id", "id"), ("key", "key"), ("prefix", "prefix")] {
            self.set(name, &key[member]);
        }
        let digest = "SELECT encode(digest, 'hex') FROM api_keys WHERE id = $1::uuid";
        let digest: String = sqlx::query_scalar(digest).bind(self.value("key_id")).fetch_one(api.db()).await.unwrap();
        self.values.insert("digest", digest);

        self.add_key(api, "expired", &[Scope::Admin], Some(-TimeDelta::seconds(1))).await;
        self.add_key(api, "ending", &[Scope::Admin], Some(TimeDelta::hours(1))).await;
        let id = self.add_key(api, "revoked", &[Scope::Admin], None).await;
        self.revoke(api, &id).await;
        let id = self.add_key(api, "rotated", &[Scope::Admin], None).await;
        self.send(api, "all", post(api, &format!("/v1/keys/{id}/rotate"))).await;
    }

    /// Adds upload tokens: one that anyone may use often, and others that are limited.
    async fn add_tokens(&mut self, api: &Api) {
        for (name, limits) in [
            ("token", json!({ "uses": 1000 })),
            ("spent", json!({ "uses": 1 })),
            ("expired_token", json!({})),
            ("paged", json!({ "origin": PAGE })),
            ("small", json!({ "max_bytes": 50 })),
            ("titled", json!({ "fields": ["title"] })),
        ] {
            let token = self.send(api, "all", post(api, "/v1/upload-tokens").json(&limits)).await;
            self.set(name, &token["token"]);
            match name {
                "token" => self.set("token_id", &token["id"]),
                "spent" => drop(self.send(api, name, post(api, "/v1/images").multipart(file(png(1, 1)))).await),
                "expired_token" => {
                    let end = "UPDATE api_keys SET expires_at = now() WHERE id = $1::uuid";
                    sqlx::query(end).bind(token["id"].as_str()).execute(api.db()).await.unwrap();
                }
                _ => {}
            }
        }
        let maker = self.add_key(api, "maker", &[Scope::Write], None).await;
        let token = self.send(api, "maker", post(api, "/v1/upload-tokens").json(&json!({}))).await;
        self.set("orphan", &token["token"]);
        self.revoke(api, &maker).await;
    }

    /// Adds a key, which ends after this time, and returns its id.
    async fn add_key(&mut self, api: &Api, name: &'static str, scopes: &[Scope], end: Option<TimeDelta>) -> String {
        let (token, scopes) = (Token::generate(), scopes.iter().copied().collect::<Scopes>());
        let id = api.add_key(&token, self.owner, scopes, end.map(|end| Utc::now() + end)).await;
        self.values.insert(name, token.expose().to_owned());
        id.to_string()
    }

    async fn revoke(&self, api: &Api, id: &str) {
        let request = api.http.request(Method::DELETE, format!("{}/v1/keys/{id}", api.url));
        assert_eq!(api.send_as(Some(self.value("all")), request).await.status, 204);
    }

    pub(super) async fn get(&self, api: &Api, path: &str) -> Value {
        self.send(api, "all", api.http.get(format!("{}{path}", api.url))).await
    }

    /// Sends a request with one of the tenant's credentials; it succeeds.
    async fn send(&self, api: &Api, credential: &str, request: RequestBuilder) -> Value {
        let response = api.send_as(Some(self.value(credential)), request).await;
        assert!(response.status.is_success(), "{}", response.text);
        response.json()
    }

    fn set(&mut self, name: &'static str, value: &Value) {
        self.values.insert(name, value.as_str().unwrap().to_owned());
    }

    /// All that is stored for the tenant: its rows of every table that has owners, its jobs, its staged files, its rendition.
    pub(super) async fn stored(&self, api: &Api) -> Vec<String> {
        let tables = "SELECT table_name::text FROM information_schema.columns
                      WHERE table_schema = 'public' AND column_name = 'owner' ORDER BY 1";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(api.db()).await.unwrap();
        let selects = tables
            .iter()
            .map(|table| (table.as_str(), "owner"))
            .chain([("apalis.jobs", "(convert_from(job, 'UTF8')::jsonb ->> 'owner')::integer")]);
        let mut stored = Vec::new();
        for (table, owner) in selects {
            let rows =
                format!("SELECT '{table} ' || to_jsonb(t)::text FROM {table} AS t WHERE {owner} = $1 ORDER BY 1");
            let rows = sqlx::query_scalar(AssertSqlSafe(rows)).bind(self.owner.id());
            stored.extend(rows.fetch_all(api.db()).await.unwrap());
        }
        for table in ["api_keys", "audit", "images", "image_states", "renditions", "apalis.jobs"] {
            assert!(stored.iter().any(|row: &String| row.starts_with(&format!("{table} "))), "nothing in {table}");
        }
        let mut staged: Vec<_> = api.staged().into_iter().filter(|name| name.contains(self.value("image"))).collect();
        assert_eq!(staged.len(), 1);
        stored.append(&mut staged);
        let rendition = reqwest::get(self.value("url")).await.unwrap().text().await.unwrap();
        assert_eq!(rendition, RENDITION);
        stored
    }
}

fn post(api: &Api, path: &str) -> RequestBuilder {
    api.http.post(format!("{}{path}", api.url))
}
