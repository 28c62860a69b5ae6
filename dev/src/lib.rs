//! The local stack: what `make run`, the tests and the benchmarks start instead of a container engine. The map:
//!
//! | module | what it holds |
//! |---|---|
//! | [`postgres`] | a private Postgres cluster: found, initialised, started, stopped, started again |
//! | [`bucket`] | an S3 server in this process, signatures enforced |
//! | [`testing`] | a fresh database, a fresh bucket and an HTTP client for a test |
//! | [`account`] | the unprivileged account that servers run as where we are root |
//! | [`guard`] | child processes that end with their parent |
//! | [`port`] | free ports |
//! | [`http`] | an HTTP client |

pub mod account;
pub mod bucket;
pub mod guard;
pub mod http;
pub mod port;
pub mod postgres;
pub mod testing;
