//! Rendering in child processes of the worker's own binary. Untrusted bytes are decoded and encoded only there.
//!
//! | file | what it holds |
//! |---|---|
//! | [`protocol`] | the messages between worker and child |
//! | [`child`] | the child's main loop |
//! | [`confinement`] | what a child gives up at its start: files, network, system calls |
//! | [`resource_limits`] | the memory and CPU time of one request |
//! | [`process`] | one child as seen by the worker: spawn, request, deadline, reap |
//! | [`conversation`] | what a child replies to one request |
//! | `validate.rs` | checks of the renditions that a child returns |
//! | [`pool`] | idle children, replaced after a fault or a number of requests |
//! | `spawner.rs` | the thread that spawns children |
//! | [`core_share`] | how many cores a picture may use |
//! | [`admission`] | how much memory a picture needs, and when that much is free |
//! | [`SandboxError`] | why a picture was not rendered |

pub mod admission;
pub mod child;
pub mod confinement;
pub mod conversation;
pub mod core_share;
mod error;
pub mod pool;
pub mod process;
pub mod protocol;
pub mod resource_limits;
mod spawner;
mod validate;

pub use error::{CrashCause, SandboxError};
