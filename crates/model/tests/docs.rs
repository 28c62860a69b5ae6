//! The documentation of recipes is generated from the table of fields.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use darkroom_model::recipe::{FIELDS, Field, ValueSchema};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/recipes.md");
const BEGIN: &str = "<!-- fields: generated from crates/model/src/recipe/fields.rs -->\n";
const END: &str = "<!-- end of fields -->\n";

#[test]
fn the_docs_list_every_field() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let table = "\n| field | values | example | meaning |\n|---|---|---|---|\n".to_owned()
        + &FIELDS.iter().map(row).collect::<String>()
        + "\n";
    let expected = [before, BEGIN, &table, END, after].concat();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &expected).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(PAGE).unwrap(),
        expected,
        "docs/recipes.md is out of date: run UPDATE_DOCS=1 cargo test -p darkroom-model docs"
    );
}

fn row(field: &Field) -> String {
    let values = match field.schema() {
        ValueSchema::OneOf(values) => values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", "),
        schema => schema.to_string(),
    };
    format!("| `{}` | {values} | `{}` | {} |\n", field.name, field.example, field.description)
}
