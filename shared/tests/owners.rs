//! Every statement about what belongs to an owner names the owner. The checked queries in `.sqlx` are all statements of the
//! catalog.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;

/// The tables whose rows belong to an owner, without `api_keys` and `audit`: the look-up of a key is what finds its owner.
const OWNED_TABLES: &[&str] = &[
    "images",
    "image_states",
    "renditions",
    "put_intents",
    "idempotency_keys",
    "owner_usage",
    "owner_limits",
    "bytes_in",
];

/// Statements that work across owners without naming one, by a part of their text, and why.
const EXCEPTIONS: &[(&str, &str)] =
    &[("SELECT FROM image_states WHERE status = 'queued' LIMIT $1", "it counts them for the limit of all together")];

/// The words of a statement: names, keywords and numbers.
fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(|char: char| !char.is_alphanumeric() && char != '_')
}

/// The text of every checked query.
fn statements() -> Vec<String> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../.sqlx");
    let files = fs::read_dir(directory).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let query =
        |json: String| serde_json::from_str::<serde_json::Value>(&json).unwrap()["query"].as_str().unwrap().to_owned();
    files.map(query).collect()
}

#[test]
fn every_statement_about_owned_rows_names_their_owner() {
    let statements = statements();
    let is_owned = |sql: &&String| words(sql).any(|word| OWNED_TABLES.contains(&word));
    let owned: Vec<&String> = statements.iter().filter(is_owned).collect();
    assert!(owned.len() > 15, "only {} statements are about owned rows", owned.len());
    let is_excepted = |sql: &str| EXCEPTIONS.iter().any(|(part, _)| sql.contains(part));
    for sql in &owned {
        let names_owner = words(sql).any(|word| word == "owner");
        assert!(names_owner || is_excepted(sql), "this statement names no owner: {sql}");
    }
    for (part, _) in EXCEPTIONS {
        assert!(owned.iter().any(|sql| sql.contains(part)), "no statement contains {part}");
    }
}
