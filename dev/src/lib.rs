//! The local stack, without a container engine: for `make run`, the tests and the benchmarks.
//!
//! | module | what it holds |
//! |---|---|
//! | [`postgres`] | a private Postgres cluster: find, initialise, start, stop |
//! | [`bucket`] | an S3 server in this process, signatures enforced |
//! | [`testing`] | a fresh database, a fresh bucket and an HTTP client for a test |
//! | [`account`] | the unprivileged account of the servers if this process is root's |
//! | [`bound_child`] | child processes that end with their parent |
//! | [`port`] | free ports |
//! | [`http`] | an HTTP client |

pub mod account;
pub mod bound_child;
pub mod bucket;
pub mod http;
pub mod port;
pub mod postgres;
pub mod testing;
