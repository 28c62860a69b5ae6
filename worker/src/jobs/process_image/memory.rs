//! Cores and memory for one picture.

use std::time::Duration;

use darkroom_model::{ImageId, recipe::Recipe};
use darkroom_queue::JobError;
use tracing::info;

use super::{Outcome, inputs::Inputs, too_large};
use crate::{
    App,
    sandbox::{
        admission::{
            AdmissionError, MemoryPermit,
            estimate::{estimate, overlay_bytes},
        },
        core_share::CoreShare,
    },
};

/// How long a large picture waits before it asks again for a place.
const BUSY_DELAY: Duration = Duration::from_secs(1);

/// Cores and memory for one picture; given back when dropped.
pub(super) struct Resources<'a> {
    /// Cores besides the picture's first.
    pub(super) spare_cores: u32,
    /// Maximum memory, in bytes.
    pub(super) memory: u64,
    _core_share: CoreShare<'a>,
    _permit: MemoryPermit<'a>,
}

impl<'a> Resources<'a> {
    /// Waits for the memory that the picture needs. `attempt` counts from 1: an attempt after one that ran out of
    /// memory gets more.
    pub(super) async fn acquire(
        app: &'a App,
        image: ImageId,
        inputs: &Inputs,
        recipe: &Recipe,
        attempt: u32,
    ) -> Outcome<Self> {
        let overlay = inputs.overlay.as_ref().map_or(0, |overlay| overlay_bytes(&overlay.header, &overlay.file));
        let core_share = app.renderers.core_share();
        let estimate = estimate(&inputs.source.header, &inputs.source.file, recipe);
        let needed = |spare_cores| estimate.bytes(spare_cores) + overlay;
        let spare_cores = app.admission.spare_cores(core_share.spare_cores, needed);
        let needed = needed(spare_cores);
        let with_reserve = needed.saturating_mul(attempt.into()).min(app.admission.max_per_picture());
        let memory = needed.max(with_reserve);
        match app.admission.acquire(memory).await {
            Ok(permit) => Ok(Ok(Self { spare_cores, memory, _core_share: core_share, _permit: permit })),
            Err(AdmissionError::Busy) => Err(JobError::Snooze(BUSY_DELAY)),
            Err(error @ AdmissionError::TooLarge { .. }) => {
                info!(%image, %error, "the picture is too large for this worker");
                too_large::wait_for_larger_worker(app, image, memory).await
            }
        }
    }
}
