//! The api over real TCP, on a real Postgres and a real S3 server.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod binary;
mod errors;
mod harness;
mod health;
mod hostile;
mod images;
mod installation;
mod limits;
mod list;
mod server;
mod spec;
mod upload;
