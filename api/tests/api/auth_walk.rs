//! Every operation of the `OpenAPI` document with every kind of key.

use chrono::{TimeDelta, Utc};
use darkroom_api::Token;
use darkroom_model::Owner;
use darkroom_shared::access::{Actor, Scope, Scopes, revoke_key};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, KEY};

/// Operations that need no key.
const OPEN: [&str; 2] = ["healthz", "readyz"];

/// Allows the upload alone, and has no scopes.
const UPLOAD_TOKEN: &str = "an upload token";

/// What a request presents, and the scopes that it has by that; `None`: it is not authenticated.
type Credentials = Vec<(&'static str, Option<String>, Option<Scopes>)>;

async fn credentials(api: &Api) -> Credentials {
    let scopes = |scopes: &[Scope]| scopes.iter().copied().collect::<Scopes>();
    let [expired, revoked] = [Token::generate(), Token::generate()];
    let past = Some(Utc::now() - TimeDelta::seconds(1));
    api.add_key(&expired, Owner::DEFAULT, Scopes::all(), past).await;
    let id = api.add_key(&revoked, Owner::DEFAULT, Scopes::all(), None).await;
    let mut db = api.db().acquire().await.unwrap();
    revoke_key(&mut db, &Actor::OPERATOR, Owner::DEFAULT, id).await.unwrap();
    let mut mistyped = KEY.to_owned();
    mistyped.replace_range(5..6, "x");
    let mut credentials = vec![
        ("no key", None, None),
        ("garbage", Some("garbage".to_owned()), None),
        ("a mistyped key", Some(mistyped), None),
        ("an unknown key", Some(Token::generate().expose().to_owned()), None),
        ("an expired key", Some(expired.expose().to_owned()), None),
        ("a revoked key", Some(revoked.expose().to_owned()), None),
    ];
    for (name, of) in [
        ("read", &[Scope::Read][..]),
        ("write", &[Scope::Write]),
        ("admin", &[Scope::Admin]),
        ("read and write", &[Scope::Read, Scope::Write]),
    ] {
        credentials.push((name, Some(api.key(of).await.expose().to_owned()), Some(scopes(of))));
    }
    let made = api.http.post(format!("{}/v1/upload-tokens", api.url)).json(&json!({ "uses": 1000 }));
    let token = api.send(made).await.json()["token"].as_str().unwrap().to_owned();
    credentials.push((UPLOAD_TOKEN, Some(token), Some(Scopes::default())));
    credentials
}

/// A path with the parameters of nothing that exists.
fn example(pattern: &str) -> String {
    let path = pattern.replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057").replace("{name}", "w800.webp");
    assert!(!path.contains('{'), "{pattern} has a parameter without an example here");
    path
}

#[tokio::test]
async fn every_operation_is_open_to_keys_with_its_scope_and_to_no_one_else() {
    let api = Api::start_with(&[("MAX_FAILED_AUTHENTICATIONS", "none")], |_| {}).await;
    let credentials = credentials(&api).await;
    let spec: Value = serde_json::from_str(&darkroom_api::spec_json()).unwrap();
    let mut operations = 0;
    for (pattern, methods) in spec["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations += 1;
            let id = operation["operationId"].as_str().unwrap();
            let needed = scope(operation, id);
            let method: Method = method.to_uppercase().parse().unwrap();
            let head = (method == Method::GET).then_some(Method::HEAD);
            for method in [Some(method), head].into_iter().flatten() {
                for (name, key, held) in &credentials {
                    let url = format!("{}{}", api.url, example(pattern));
                    let response = api.send_as(key.as_deref(), api.http.request(method.clone(), url)).await;
                    let expected = match (needed, held) {
                        (None, _) => None,
                        _ if *name == UPLOAD_TOKEN && id == "upload_image" => None,
                        (Some(_), None) => Some(401),
                        (Some(scope), Some(held)) => (!held.allow(scope)).then_some(403),
                    };
                    let status = response.status.as_u16();
                    let at = format!("{method} {pattern} with {name}: {status}");
                    match expected {
                        Some(expected) => assert_eq!(status, expected, "{at}"),
                        None => assert!(![401, 403].contains(&status) && status < 500, "{at}"),
                    }
                    let challenge = response.header("www-authenticate");
                    assert_eq!(challenge.is_some(), expected.is_some(), "{at}");
                    if expected == Some(403) && method != Method::HEAD {
                        let problem = response.problem(403, "/problems/missing-scope");
                        assert_eq!(problem["required_scope"].as_str(), needed.map(Scope::as_str), "{at}");
                    }
                }
            }
        }
    }
    assert!(operations > 10, "{operations} operations");
}

/// The scope that an operation needs by its security scheme; `None`: it needs no key.
fn scope(operation: &Value, id: &str) -> Option<Scope> {
    let schemes: Vec<&String> = operation["security"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|all| all.as_object().unwrap().keys())
        .collect();
    assert_eq!(
        schemes.is_empty(),
        OPEN.contains(&id),
        "{id} needs a security scheme, or a line in the list of open ones"
    );
    assert!(schemes.len() < 2, "{id} has several security schemes");
    schemes.first().map(|scheme| scheme.parse().unwrap())
}

#[test]
fn every_scope_is_a_security_scheme() {
    let spec: Value = serde_json::from_str(&darkroom_api::spec_json()).unwrap();
    let schemes = spec["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes.len(), Scope::ALL.len());
    for scope in Scope::ALL {
        let scheme = &schemes[scope.as_str()];
        assert_eq!((&scheme["type"], &scheme["scheme"]), (&"http".into(), &"bearer".into()), "{scope}");
    }
}
