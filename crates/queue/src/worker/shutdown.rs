//! How far the shutdown of a process has come.

use tokio_util::sync::CancellationToken;

/// The three steps, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    /// No more claims.
    pub(crate) draining: CancellationToken,
    /// Everything that ran has ended and is acknowledged.
    pub(crate) drained: CancellationToken,
    /// The tasks end.
    pub(crate) stop: CancellationToken,
}
