//! The `OpenAPI` document and Swagger UI.

use serde_json::Value;

use crate::harness::Api;

#[test]
fn the_committed_spec_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.yaml");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == darkroom_api::spec_yaml(), "openapi.yaml is out of date: run `make openapi`");
}

#[test]
fn every_operation_parameter_field_and_response_is_described() {
    let spec: Value = serde_json::from_str(&darkroom_api::spec_json()).unwrap();
    let described = |value: &Value| value["description"].as_str().is_some_and(|text| !text.trim().is_empty());
    for (path, operations) in spec["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(operation["operationId"].is_string() && operation["tags"].is_array(), "{at}");
            assert!(operation["summary"].is_string() && described(operation), "{at}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(described(parameter), "{at}: {parameter}");
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(described(response), "{at}: {status}");
            }
            let form = &operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"];
            for (name, field) in form.as_object().into_iter().flatten() {
                assert!(described(field), "{at}: {name}");
            }
        }
    }
    for (name, schema) in spec["components"]["schemas"].as_object().unwrap() {
        assert!(described(schema), "{name}");
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert!(described(schema) || schema.get("$ref").is_some(), "{name}.{field}");
        }
    }
}

#[tokio::test]
async fn the_root_redirects_to_the_docs_and_they_load_nothing_else() {
    let api = Api::start().await;
    let root = api.get("/").await;
    assert_eq!((root.status.as_u16(), root.header("location")), (302, Some("/docs")));
    let page = api.get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let policy = page.header("content-security-policy").unwrap();
    assert_eq!(policy.matches("'sha256-").count(), page.text.matches("</script>").count());
    assert!(!policy.contains("script-src 'unsafe-inline'") && !page.text.contains("src=\"http"));
}

#[tokio::test]
async fn swagger_ui_starts_with_an_empty_form_and_one_field_for_the_key() {
    let api = Api::start().await;
    let page = api.get("/docs").await.text;
    let spec = page.split_once("let spec = ").unwrap().1.split_once("};").unwrap().0.to_owned() + "}";
    let spec: Value = serde_json::from_str(&spec).unwrap();
    let (operation, schemes) = (&spec["paths"]["/v1/images"]["post"], &spec["components"]["securitySchemes"]);
    assert_eq!(schemes.as_object().unwrap().len(), 1, "a key is entered once");
    assert!(schemes.get(operation["security"][0].as_object().unwrap().keys().next().unwrap()).is_some());
    let form = &spec["paths"]["/v1/images"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"];
    for (name, field) in form["properties"].as_object().unwrap() {
        let expected = if name == "file" { None } else { Some(&Value::from("")) };
        assert_eq!(field.get("example"), expected, "{name}");
    }
}

#[tokio::test]
async fn the_spec_is_served_in_both_forms() {
    let api = Api::start().await;
    let json = api.get("/openapi.json").await;
    assert_eq!((json.header("content-type"), &json.json()["openapi"]), (Some("application/json"), &"3.0.0".into()));
    let yaml = api.get("/openapi.yaml").await;
    assert_eq!(yaml.header("content-type"), Some("application/yaml"));
    assert_eq!(yaml.text, darkroom_api::spec_yaml());
}
