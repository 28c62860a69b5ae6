//! The api over real TCP, on a real Postgres and a real S3 server.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod audit;
mod auth;
mod auth_walk;
mod binary;
mod commands;
mod cors;
mod dry_run;
mod errors;
mod filters;
mod harness;
mod health;
mod hostile;
mod idempotency;
mod images;
mod installation;
mod keys;
mod limits;
mod list;
mod owners;
mod patch;
mod process;
mod quotas;
mod server;
mod spec;
mod upload;
mod upload_tokens;
