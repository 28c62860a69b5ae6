//! Attacks of one owner on another, and of strangers on an owner, as requests that were written by hand.
//!
//! `{my.…}` is a value of the attacker, `{their.…}` one of the victim, by the names of `tenant`; `{s3…}` is of the bucket.

use std::collections::BTreeMap;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::Url;

use super::tenant::{PAGE, Tenant};
use crate::harness::{Api, png};

/// What is tried, the status that it must have, the request line, the headers, the body. A body `form a=b` is a form with this
/// field and a picture.
type Attack = (&'static str, u16, &'static str, &'static str, &'static str);

/// The attacker has a key with every scope.
const MINE: &str = "Authorization: Bearer {my.all}";
/// The attacker has no key.
const NONE: &str = "";

const IDS_IN_PATHS: [Attack; 22] = [
    ("get an image", 404, "GET /v1/images/{their.ready}", MINE, ""),
    ("the id in upper case", 404, "GET /v1/images/{their.READY}", MINE, ""),
    ("the id without hyphens", 404, "GET /v1/images/{their.ready.simple}", MINE, ""),
    ("the id as a URN", 404, "GET /v1/images/urn:uuid:{their.ready}", MINE, ""),
    ("the id in braces", 404, "GET /v1/images/%7B{their.ready}%7D", MINE, ""),
    ("the id in percent encoding", 404, "GET /v1/images/{their.ready.encoded}", MINE, ""),
    ("an id and NUL", 404, "GET /v1/images/{their.ready}%00", MINE, ""),
    ("the path in upper case", 404, "GET /V1/IMAGES/{their.ready}", MINE, ""),
    ("an empty segment", 404, "GET /v1//images/{their.ready}", MINE, ""),
    ("only the headers", 404, "HEAD /v1/images/{their.ready}", MINE, ""),
    ("download a rendition", 404, "GET /v1/images/{their.ready}/renditions/w320.webp", MINE, ""),
    ("delete an image", 404, "DELETE /v1/images/{their.ready}", MINE, ""),
    ("delete it with another method", 405, "POST /v1/images/{their.ready}", MINE_DELETE, ""),
    ("delete it by GET", 404, "GET /v1/images/{their.ready}", MINE_DELETE, ""),
    ("dot segments", 404, "GET /v1/images/{my.ready}/../{their.ready}", MINE, ""),
    ("encoded dot segments", 404, "GET /v1/images/{my.ready}/%2e%2e/{their.ready}", MINE, ""),
    ("a rendition's name out of its image", 404, "GET /v1/images/{my.ready}/renditions/{traversal}", MINE, ""),
    ("the key of an object as a name", 404, "GET /v1/images/{my.ready}/renditions/{their.object.encoded}", MINE, ""),
    ("a name with NUL", 404, "GET /v1/images/{my.ready}/renditions/w320.webp%00", MINE, ""),
    ("a very long name", 404, "GET /v1/images/{my.ready}/renditions/{long}", MINE, ""),
    ("the id of a key as an image", 404, "GET /v1/images/{their.key_id}", MINE, ""),
    ("the id of an image as a key", 404, "GET /v1/keys/{their.ready}", MINE, ""),
];
const MINE_DELETE: &str = "Authorization: Bearer {my.all}\nX-HTTP-Method-Override: DELETE";

/// Requests that succeed, with what is the attacker's own.
const LISTS: [Attack; 7] = [
    ("a cursor of their images", 200, "GET /v1/images?cursor={their.cursor}", MINE, ""),
    ("a cursor of their keys", 200, "GET /v1/keys?cursor={their.keys_cursor}", MINE, ""),
    ("a cursor of their audit log", 200, "GET /v1/audit?cursor={their.audit_cursor}", MINE, ""),
    ("a cursor of another list", 400, "GET /v1/audit?cursor={their.cursor}", MINE, ""),
    ("search for their title", 200, "GET /v1/images?title={their.word}", MINE, ""),
    ("name the owner in the query", 200, "GET /v1/images?owner={their.owner}&owner_id={their.owner}", MINE, ""),
    ("name the owner in headers", 200, "GET /v1/images", MINE_AS_THEM, ""),
];
const MINE_AS_THEM: &str = "Authorization: Bearer {my.all}\nX-Owner: {their.owner}\nX-Forwarded-User: {their.word}";

const BODIES: [Attack; 7] = [
    ("their image as an overlay", 422, "POST /v1/images", MINE, "form overlay={their.ready}"),
    ("their overlay in upper case", 422, "POST /v1/images", MINE, "form overlay={their.READY}"),
    ("their overlay by an upload token", 422, "POST /v1/images", MY_TOKEN, "form overlay={their.ready}"),
    ("upload with their id", 400, "POST /v1/images", MINE, "form id={their.image}"),
    ("upload for their owner", 400, "POST /v1/images", MINE, "form owner={their.owner}"),
    (
        "make a key for their owner",
        400,
        "POST /v1/keys",
        MINE,
        r#"{"name":"x","scopes":["read"],"owner":{their.owner}}"#,
    ),
    ("make a token for their key", 400, "POST /v1/upload-tokens", MINE, r#"{"made_by":"{their.key_id}"}"#),
];
const MY_TOKEN: &str = "Authorization: Bearer {my.token}";

const KEYS: [Attack; 14] = [
    ("get a key", 404, "GET /v1/keys/{their.key_id}", MINE, ""),
    ("get a key by its prefix", 404, "GET /v1/keys/{their.prefix}", MINE, ""),
    ("rename a key", 404, "PATCH /v1/keys/{their.key_id}", MINE, r#"{"name":"x"}"#),
    ("rotate a key", 404, "POST /v1/keys/{their.key_id}/rotate?overlap_seconds=0", MINE, ""),
    ("revoke a key", 404, "DELETE /v1/keys/{their.key_id}", MINE, ""),
    ("revoke a key in upper case", 404, "DELETE /v1/keys/{their.KEY_ID}", MINE, ""),
    ("revoke an upload token", 404, "DELETE /v1/keys/{their.token_id}", MINE, ""),
    ("rotate an upload token to get a secret", 404, "POST /v1/keys/{my.token_id}/rotate", MINE, ""),
    ("give a key scopes", 400, "PATCH /v1/keys/{my.key_id}", MINE, r#"{"name":"x","scopes":["admin"]}"#),
    ("make a key with the scope write", 403, "POST /v1/keys", "Authorization: Bearer {my.write}", NEW_KEY),
    ("make a key with an upload token", 403, "POST /v1/keys", MY_TOKEN, NEW_KEY),
    ("make a token with a token", 403, "POST /v1/upload-tokens", MY_TOKEN, "{}"),
    ("make a token with the scope read", 403, "POST /v1/upload-tokens", "Authorization: Bearer {my.read}", "{}"),
    ("make a key that ends later", 422, "POST /v1/keys", "Authorization: Bearer {my.ending}", LATER_KEY),
];
const NEW_KEY: &str = r#"{"name":"x","scopes":["admin"]}"#;
const LATER_KEY: &str = r#"{"name":"x","scopes":["admin"],"expires_at":"2999-01-01T00:00:00Z"}"#;

const SECRETS: [Attack; 15] = [
    ("an expired key", 401, "GET /v1/keys", "Authorization: Bearer {their.expired}", ""),
    ("a revoked key", 401, "GET /v1/keys", "Authorization: Bearer {their.revoked}", ""),
    ("the secret before a rotation", 401, "GET /v1/keys", "Authorization: Bearer {their.rotated}", ""),
    ("the prefix of a key", 401, "GET /v1/images", "Authorization: Bearer {their.prefix}", ""),
    ("the stored hash of a key", 401, "GET /v1/images", "Authorization: Bearer {their.digest}", ""),
    ("the id of a key", 401, "GET /v1/images", "Authorization: Bearer {their.key_id}", ""),
    ("a key in other case", 401, "GET /v1/images", "Authorization: Bearer {their.KEY}", ""),
    ("a very long key", 401, "GET /v1/images", "Authorization: Bearer {long}", ""),
    ("a token without uses", 401, "POST /v1/images", "Authorization: Bearer {their.spent}", "form title=x"),
    ("an expired token", 401, "POST /v1/images", "Authorization: Bearer {their.expired_token}", "form title=x"),
    ("a token of a revoked key", 401, "POST /v1/images", "Authorization: Bearer {their.orphan}", "form title=x"),
    ("a token of another page", 403, "POST /v1/images", "Authorization: Bearer {their.paged}", "form title=x"),
    ("a file too large for a token", 413, "POST /v1/images", "Authorization: Bearer {their.small}", "form title=x"),
    ("a field against a token", 403, "POST /v1/images", "Authorization: Bearer {their.titled}", "form lane=x"),
    ("list images with a token", 403, "GET /v1/images", "Authorization: Bearer {their.token}", ""),
];

const HEADERS: [Attack; 15] = [
    ("no key", 401, "GET /v1/images", NONE, ""),
    ("two keys", 401, "GET /v1/images", "Authorization: Bearer {my.all}\nAuthorization: Bearer {my.all}", ""),
    ("two keys in one header", 401, "GET /v1/images", "Authorization: Bearer {my.all}, Bearer {my.read}", ""),
    ("another scheme", 401, "GET /v1/images", "Authorization: Basic {my.all}", ""),
    ("no scheme", 401, "GET /v1/images", "Authorization: {my.all}", ""),
    ("a tab after the scheme", 401, "GET /v1/images", "Authorization: Bearer\t{my.all}", ""),
    ("the scheme in upper case", 404, "GET /v1/images/{their.ready}", "Authorization: BEARER {my.all}", ""),
    ("spaces around a key", 404, "GET /v1/images/{their.ready}", "Authorization:   bearer   {my.all}  ", ""),
    ("a key in the query", 401, "GET /v1/images?access_token={my.all}&api_key={my.all}", NONE, ""),
    ("a key in a cookie", 401, "GET /v1/images", "Cookie: Authorization={my.all}; access_token={my.all}", ""),
    ("a key for a proxy", 401, "GET /v1/images", "Proxy-Authorization: Bearer {my.all}", ""),
    ("the name of this machine", 401, "GET /v1/images", "Host: localhost", ""),
    ("a name that leads to this machine", 401, "GET /v1/images", "Host: rebound.example", ""),
    ("the address of this machine by a proxy", 401, "GET /v1/images", "X-Forwarded-For: 127.0.0.1\nX-Real-IP: ::1", ""),
    ("another path by a proxy", 401, "GET /v1/images", "X-Original-URL: /healthz\nX-Rewrite-URL: /healthz", ""),
];

const PAGES_OF_OTHER_SITES: [Attack; 8] = [
    ("a form", 403, "POST /v1/images", "Origin: https://evil.example", "form title=x"),
    ("a form of a sandbox", 403, "POST /v1/images", "Origin: null", "form title=x"),
    ("a form without its origin", 403, "POST /v1/images", "Sec-Fetch-Site: cross-site", "form title=x"),
    ("a form of the same site", 403, "POST /v1/images", "Sec-Fetch-Site: same-site", "form title=x"),
    ("JSON as text", 415, "POST /v1/keys", MINE_AS_TEXT, NEW_KEY),
    ("use a key", 403, "POST /v1/keys", "Authorization: Bearer {my.all}\nOrigin: https://evil.example", NEW_KEY),
    (
        "a token of another page",
        403,
        "POST /v1/images",
        "Authorization: Bearer {their.paged}\nOrigin: {host}",
        "form title=x",
    ),
    ("ask for permission", 204, "OPTIONS /v1/images", PREFLIGHT, ""),
];
const MINE_AS_TEXT: &str = "Authorization: Bearer {my.all}\nContent-Type: text/plain";
const PREFLIGHT: &str = "Origin: https://evil.example\nAccess-Control-Request-Method: POST\n\
                         Access-Control-Request-Headers: authorization";

/// Requests to the bucket, with presigned URLs that the attacker has.
const BUCKET: [Attack; 6] = [
    ("their object with the signature of mine", 403, "GET {s3}{their.object}?{my.signature}", NONE, ""),
    ("their object without a signature", 403, "GET {s3}{their.object}", NONE, ""),
    ("another name", 403, "GET {s3}{their.object}.bak?{their.signature}", NONE, ""),
    ("another folder", 403, "GET {s3}{my.object}?{their.signature}", NONE, ""),
    ("delete", 403, "DELETE {s3}{their.object}?{their.signature}", NONE, ""),
    ("overwrite", 403, "PUT {s3}{their.object}?{their.signature}", NONE, "{}"),
];

/// The values that requests name.
struct Values(BTreeMap<String, String>);

impl Values {
    fn new(api: &Api, attacker: &Tenant, victim: &Tenant) -> Self {
        let mut all = BTreeMap::from([("host".to_owned(), api.url.clone()), ("long".to_owned(), "x".repeat(6000))]);
        for (of, tenant) in [("my", attacker), ("their", victim)] {
            for (name, value) in &tenant.values {
                all.insert(format!("{of}.{name}"), value.clone());
                all.insert(format!("{of}.{}", name.to_uppercase()), value.to_uppercase());
            }
            let (ready, url) = (tenant.value("ready"), Url::parse(tenant.value("url")).unwrap());
            all.insert("s3".to_owned(), url.origin().ascii_serialization());
            all.extend([
                (format!("{of}.owner"), tenant.owner.id().to_string()),
                (format!("{of}.ready.simple"), ready.replace('-', "")),
                (format!("{of}.ready.encoded"), encode(ready)),
                (format!("{of}.object"), url.path().to_owned()),
                (format!("{of}.object.encoded"), encode(url.path())),
                (format!("{of}.signature"), url.query().unwrap().to_owned()),
            ]);
        }
        let traversal = encode(&format!("../../{}/renditions/w320.webp", victim.value("ready")));
        all.insert("traversal".to_owned(), traversal);
        Self(all)
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    /// The address to which a request is sent, and the request.
    fn request(&self, api: &Api, &(_, _, line, headers, body): &Attack) -> (String, Vec<u8>) {
        let (line, mut headers, body) = (self.fill(line), self.fill(headers).replace('\n', "\r\n"), self.fill(body));
        let (method, target) = line.split_once(' ').unwrap();
        let (address, target) = match target.strip_prefix("http://").and_then(|url| url.split_once('/')) {
            Some((address, path)) => (address.to_owned(), format!("/{path}")),
            None => (api.address().to_owned(), target.to_owned()),
        };
        let has = |headers: &str, name: &str| headers.split("\r\n").any(|header| header.starts_with(name));
        let mut add = |name: &str, value: &str| {
            if !has(&headers, name) {
                let end = if headers.is_empty() { "" } else { "\r\n" };
                headers = format!("{name}: {value}{end}{headers}");
            }
        };
        let content = if let Some(field) = body.strip_prefix("form ") {
            add("Content-Type", "multipart/form-data; boundary=x");
            form(field)
        } else {
            if !body.is_empty() {
                add("Content-Type", "application/json");
            }
            body.into_bytes()
        };
        add("Host", &address);
        add("Connection", "close");
        add("Content-Length", &content.len().to_string());
        (address, [format!("{method} {target} HTTP/1.1\r\n{headers}\r\n\r\n").into_bytes(), content].concat())
    }
}

/// A form with a field and a picture.
fn form(field: &str) -> Vec<u8> {
    let (name, value) = field.split_once('=').unwrap();
    let head = format!(
        "--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n\
         --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.png\"\r\n\r\n"
    );
    [head.as_bytes(), &png(1, 1), b"\r\n--x--\r\n"].concat()
}

/// Every byte in percent encoding.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

/// Sends a request and returns the whole response.
async fn send(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    String::from_utf8_lossy(&response).into_owned()
}

#[tokio::test]
async fn attacks_on_another_owner_have_the_status_that_they_must_and_change_nothing() {
    let api = Api::start_with(&[("ALLOWED_ORIGINS", PAGE), ("MAX_FAILED_AUTHENTICATIONS", "none")], |_| {}).await;
    let [amber, birch] = Tenant::two(&api).await;
    let attacks: Vec<&Attack> =
        [&IDS_IN_PATHS[..], &LISTS, &BODIES, &KEYS, &SECRETS, &HEADERS, &PAGES_OF_OTHER_SITES, &BUCKET]
            .into_iter()
            .flatten()
            .collect();
    for (attacker, victim) in [(&amber, &birch), (&birch, &amber)] {
        let (before, values) = (victim.stored(&api).await, Values::new(&api, attacker, victim));
        let mut wrong = Vec::new();
        for attack in &attacks {
            let (what, expected, line, ..) = attack;
            let (address, request) = values.request(&api, attack);
            assert!(!line.contains("/v1/") || address == api.address());
            let response = send(&address, &request).await;
            let status = response.get(9..12).unwrap_or_default();
            // An error may repeat what the request has said, such as an id in its path.
            let is_found = |value: &&str| *expected < 300 || *value == victim.value("word");
            let found: Vec<_> = victim.found_in(&response).filter(is_found).collect();
            let is_shared = response.to_lowercase().contains("access-control-allow-origin");
            if status != expected.to_string() || !found.is_empty() || is_shared {
                wrong.push(format!("{what}: {line}: {status} and not {expected}; of theirs: {found:?}\n{response}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        assert_eq!(victim.stored(&api).await, before);
    }
    assert!(attacks.len() >= 40);
}
