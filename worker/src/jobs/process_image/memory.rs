//! Cores and memory for one picture.

use std::{pin::pin, task::Poll};

use darkroom_model::{OwnedImage, recipe::Recipe};
use darkroom_pipeline::{MemoryEstimate, overlay_memory};
use darkroom_queue::{JobError, Lease};
use darkroom_shared::catalog::UnrenderedImage;
use tracing::{debug, info};

use super::{Outcome, inputs::Inputs, state, too_large};
use crate::{
    App,
    sandbox::{
        admission::{AdmissionError, FinishPermit, MemoryPermit, RenderSlot},
        core_share::CoreShare,
    },
};

/// Memory for an overlay before its file is read, in bytes. Most logos need less.
const OVERLAY_MEMORY: u64 = 16 << 20;
/// Size of an overlay's file before it is read, in bytes. Most logos have less.
const OVERLAY_FILE: u64 = 1 << 20;

/// What one picture holds of this process, from its admission to the end of its attempt; given back when dropped.
pub(super) struct Resources<'a> {
    app: &'a App,
    lease: &'a Lease,
    image: OwnedImage,
    /// It was admitted once: the attempt begins.
    has_begun: bool,
    memory: Option<MemoryPermit<'a>>,
    finishing: Option<FinishPermit<'a>>,
}

/// The right to render; given back when dropped.
pub(super) struct Rendering<'a> {
    /// Cores besides the picture's first.
    pub(super) spare_cores: u32,
    /// Maximum memory, in bytes.
    pub(super) memory: u64,
    _slot: RenderSlot<'a>,
    _core_share: CoreShare<'a>,
}

impl<'a> Resources<'a> {
    /// Waits for memory by what the catalog knows of the image, before its file is read and before an attempt counts.
    ///
    /// # Errors
    /// [`JobError::Snooze`]: this process holds as many large pictures as it may.
    pub(super) async fn admit(
        app: &'a App,
        lease: &'a Lease,
        image: OwnedImage,
        facts: &UnrenderedImage,
    ) -> Result<Self, JobError> {
        let mut resources = Self { app, lease, image, has_begun: false, memory: None, finishing: None };
        let (overlay, overlay_file) = facts.recipe.overlay().map_or((0, 0), |_| (OVERLAY_MEMORY, OVERLAY_FILE));
        let needed = MemoryEstimate::of_header(&facts.header, facts.bytes, &facts.recipe).bytes(0) + overlay;
        // Only the header and the overlay tell whether the picture can never fit.
        let needed = resources.with_reserve(needed).min(app.admission.max_per_picture());
        resources.acquire(needed, facts.bytes + overlay_file).await?;
        resources.has_begun = true;
        Ok(resources)
    }

    /// Loads the files of the picture, with enough memory for them by their headers. They are loaded a second time if
    /// they need more than the catalog has told: the picture waits again, without bytes.
    pub(super) async fn load(&mut self, recipe: &Recipe) -> Outcome<(Inputs, PictureMemory)> {
        loop {
            let inputs = match Inputs::load(self.app, self.image, recipe).await? {
                Ok(inputs) => inputs,
                Err(failure) => return Ok(Err(failure)),
            };
            let memory = PictureMemory::of(&inputs, recipe);
            let needed = self.with_reserve(memory.bytes(0));
            let files = file_bytes(&inputs);
            if let Some(permit) = self.memory.as_mut().filter(|permit| permit.covers(needed, files)) {
                permit.shrink(needed);
                return Ok(Ok((inputs, memory)));
            }
            debug!(image = %self.image, needed, "more memory than the catalog has told");
            drop(inputs);
            if let Err(failure) = self.acquire_or_fail(needed, files).await? {
                return Ok(Err(failure));
            }
        }
    }

    /// Waits for the right to render.
    pub(super) async fn render_slot(&self, memory: &PictureMemory) -> Rendering<'a> {
        let slot = self.app.admission.render_slot().await;
        let core_share = self.app.renderers.core_share();
        let (spare_cores, needed) = self.memory.as_ref().map_or((0, memory.bytes(0)), |permit| {
            let spare_cores =
                self.app.admission.spare_cores(core_share.spare_cores, permit, |cores| memory.bytes(cores));
            // After a crash a picture may have more than it should need.
            (spare_cores, self.with_reserve(memory.bytes(spare_cores)).min(permit.bytes()))
        });
        Rendering { spare_cores, memory: needed, _slot: slot, _core_share: core_share }
    }

    /// The picture is rendered: another job may take this one's slot while the renditions are stored.
    pub(super) fn rendered(&mut self) {
        if let Some(permit) = &mut self.memory {
            permit.rendered();
        }
        self.finishing = self.app.admission.try_finish();
        if self.finishing.is_some() {
            self.lease.release_slot();
        }
    }

    /// The renditions are stored: the picture needs no memory any more.
    pub(super) fn stored(&mut self) {
        self.memory = None;
    }

    fn with_reserve(&self, needed: u64) -> u64 {
        with_reserve(needed, self.lease.crashes(), self.app.admission.max_per_picture())
    }

    async fn acquire_or_fail(&mut self, needed: u64, files: u64) -> Outcome<()> {
        match self.try_acquire(needed, files).await {
            Ok(()) => Ok(Ok(())),
            Err(AdmissionError::Busy { retry_after }) => Err(JobError::Snooze(retry_after)),
            Err(error @ AdmissionError::TooLarge { .. }) => {
                info!(image = %self.image, %error, "the picture is too large for this worker");
                too_large::wait_for_larger_worker(self.app, self.image, needed).await
            }
        }
    }

    async fn acquire(&mut self, needed: u64, files: u64) -> Result<(), JobError> {
        match self.try_acquire(needed, files).await {
            Err(AdmissionError::Busy { retry_after }) => Err(JobError::Snooze(retry_after)),
            result => result.map_err(JobError::retry),
        }
    }

    /// Waits for this much memory, in place of what the picture has. A large picture waits without its job's slot, and
    /// its job is handed back as soon as the process drains.
    async fn try_acquire(&mut self, needed: u64, files: u64) -> Result<(), AdmissionError> {
        self.memory = None;
        let admission = &self.app.admission;
        let mut acquired = pin!(admission.acquire(self.lease.claim_number(), needed, files));
        let permit = match futures::poll!(acquired.as_mut()) {
            Poll::Ready(result) => result?,
            Poll::Pending if admission.is_large(needed, files) => {
                let _idle = self.lease.wait_idle();
                let announced = async {
                    if !self.has_begun {
                        state::announce_wait(self.app, self.image, self.lease).await;
                    }
                };
                tokio::join!(acquired, announced).0?
            }
            Poll::Pending => acquired.await?,
        };
        self.memory = Some(permit);
        Ok(())
    }
}

/// The memory that a picture needs, by the headers of its files.
pub(super) struct PictureMemory {
    estimate: MemoryEstimate,
    overlay: u64,
}

impl PictureMemory {
    fn of(inputs: &Inputs, recipe: &Recipe) -> Self {
        let overlay = inputs.overlay.as_ref().map_or(0, |overlay| overlay_memory(&overlay.header, &overlay.file));
        Self { estimate: MemoryEstimate::of_file(&inputs.source.header, &inputs.source.file, recipe), overlay }
    }

    /// In bytes, with this number of spare cores.
    fn bytes(&self, spare_cores: u32) -> u64 {
        self.estimate.bytes(spare_cores) + self.overlay
    }
}

fn file_bytes(inputs: &Inputs) -> u64 {
    let overlay = inputs.overlay.as_ref().map_or(0, |overlay| overlay.file.len());
    (inputs.source.file.len() + overlay) as u64
}

/// The memory of a picture after this number of crashes, in bytes. Each adds the estimate once more, because the picture
/// may have needed more than that. Attempts that an outage ended say nothing about its memory.
fn with_reserve(needed: u64, crashes: u32, available: u64) -> u64 {
    needed.max(needed.saturating_mul(u64::from(crashes) + 1).min(available))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_crashes_and_not_with_attempts() {
        let ninth_attempt = darkroom_queue::testing::lease(9);
        assert_eq!(with_reserve(100, ninth_attempt.crashes(), 1000), 100, "eight outages before it");
        assert_eq!(with_reserve(100, 2, 1000), 300);
        assert_eq!(with_reserve(600, 2, 1000), 1000, "no more than a picture can have");
        assert_eq!(with_reserve(1200, 2, 1000), 1200, "to be refused as too large");
    }
}
