//! Admission: a picture is read and rendered once the memory that it needs is free.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | the permits |
//! | [`available_memory`] | the memory of the machine or the container |
//! | `cgroup.rs` | the memory limit of the control group |
//! | `line.rs` | the order in which large pictures wait |
//! | `hand_back.rs` | when a large picture that finds no place should be claimed again |
//!
//! Every picture has its estimate ([`darkroom_pipeline::MemoryEstimate`]) as a hard limit, so the pictures never take more than the budget:
//!
//! - Three sixteenths of it are reserved for as many *small* pictures as are rendered at once. Between pictures
//!   a render process keeps no more than that: when it is idle, or renders a large picture, its small picture's share is unused.
//! - A sixteenth is for the files of small pictures: several are read, or have their renditions stored, while others are
//!   rendered.
//! - The rest is for *large* pictures, in the order in which their jobs were claimed. A large picture waits before its file is read. At
//!   most [`MAX_HELD`] wait in one process; the job of another is handed back until there should be room.
//!
//! Rendering needs a *render slot*, of which there are as many as pictures are rendered at once, given in the order of
//! the requests. One large picture more than there are slots is admitted, so that one is read while others are rendered.
//! So a small picture waits for at most two large ones: that which ends first, and that which waits before it.

pub mod available_memory;
mod cgroup;
mod hand_back;
mod line;

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use self::{hand_back::HandBackTimes, line::Line};

/// Bytes per permit of the memory of large pictures; a semaphore cannot count single bytes.
const UNIT: u64 = 1 << 20;
/// Bytes per permit of the files of small pictures.
const FILE_UNIT: u64 = 1 << 10;
/// Maximum number of large pictures that are in one process, most of them waiting. A wait holds a lease and no bytes. The
/// bound leaves the others to other processes, which also take waiting ones over when they have free slots.
pub const MAX_HELD: usize = 128;
/// Maximum number of rendered pictures whose renditions are being stored after their job's slot was given to another.
const MAX_FINISHING: usize = 64;

/// The memory for pictures, and the render slots.
#[derive(Debug)]
pub struct Admission {
    /// Maximum memory of a small picture, in bytes.
    small: u64,
    /// Memory of all large pictures, in bytes.
    large: u64,
    /// Maximum size of a small picture's file, in bytes.
    small_file: u64,
    /// Memory of the large pictures, in [`UNIT`]s.
    memory: Semaphore,
    /// Files of the small pictures, in [`FILE_UNIT`]s.
    files: Semaphore,
    /// The large pictures that wait.
    line: Line,
    /// Large pictures from their admission to the end of their rendering.
    places: Semaphore,
    /// Large pictures in this process.
    held: Semaphore,
    slots: Semaphore,
    finishing: Semaphore,
    hand_back: HandBackTimes,
}

/// The memory of one picture; given back when dropped.
#[derive(Debug)]
pub struct MemoryPermit<'a> {
    /// Maximum memory, in bytes.
    bytes: u64,
    share: Share<'a>,
}

#[derive(Debug)]
enum Share<'a> {
    Small { file: SemaphorePermit<'a> },
    Large { memory: SemaphorePermit<'a>, place: Option<SemaphorePermit<'a>>, _held: SemaphorePermit<'a> },
}

/// The right to render one picture; given back when dropped.
#[derive(Debug)]
pub struct RenderSlot<'a>(#[expect(dead_code, reason = "held until it is dropped")] SemaphorePermit<'a>);

/// The right to store the renditions of one picture without its job's slot; given back when dropped.
#[derive(Debug)]
pub struct FinishPermit<'a>(#[expect(dead_code, reason = "held until it is dropped")] SemaphorePermit<'a>);

/// Why a picture was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The picture needs more memory than one picture can have.
    #[error("rendering it needs {needed} bytes of memory, and a picture can have {available}")]
    TooLarge {
        /// Bytes.
        needed: u64,
        /// Bytes.
        available: u64,
    },
    /// This process holds as many large pictures as it may.
    #[error("{MAX_HELD} large pictures wait for memory already; there should be room in {retry_after:?}")]
    Busy {
        /// When there should be room.
        retry_after: Duration,
    },
}

impl Admission {
    /// `budget` bytes for at most `slots` pictures that are rendered at once.
    pub fn new(budget: u64, slots: usize) -> Self {
        let slots = slots.max(1);
        let files = budget / 16;
        let small = budget / 16 * 3 / slots as u64;
        let large = budget - files - small * slots as u64;
        Self {
            small,
            large,
            small_file: files / FILE_UNIT * FILE_UNIT,
            memory: semaphore(large / UNIT),
            files: semaphore(files / FILE_UNIT),
            line: Line::default(),
            places: Semaphore::new(slots + 1),
            held: Semaphore::new(MAX_HELD),
            slots: Semaphore::new(slots),
            finishing: Semaphore::new(MAX_FINISHING),
            hand_back: HandBackTimes::default(),
        }
    }

    /// Maximum memory of one picture, in bytes.
    pub fn max_per_picture(&self) -> u64 {
        self.large / UNIT * UNIT
    }

    /// How much memory an idle render process may keep, in bytes: what is reserved for the small picture that it may render.
    /// While it is idle or renders a large picture, nothing else uses that.
    pub fn max_retained(&self) -> u64 {
        self.small
    }

    /// Whether a picture that needs `memory` bytes and has a file of `file` bytes is large.
    pub fn is_large(&self, memory: u64, file: u64) -> bool {
        memory > self.small || file > self.small_file
    }

    /// How many of `max` spare cores a picture can use without more memory than a small picture has, or than it has
    /// itself. Spare cores only save time, so no picture waits for their memory. `needed` is the picture's memory in bytes
    /// with a number of spare cores.
    pub fn spare_cores(&self, max: u32, granted: &MemoryPermit<'_>, needed: impl Fn(u32) -> u64) -> u32 {
        let available = match granted.share {
            Share::Small { .. } => self.small,
            Share::Large { .. } => granted.bytes,
        };
        (1..=max).rev().find(|cores| needed(*cores) <= available).unwrap_or(0)
    }

    /// Waits until `memory` bytes are free for a picture with a file of `file` bytes. Large pictures are admitted in the order
    /// of their numbers, which differ ([`Lease::claim_number`](darkroom_queue::Lease::claim_number)); small ones in the order of
    /// the calls, and past the large ones.
    ///
    /// # Errors
    /// See [`AdmissionError`]; at once.
    pub async fn acquire(&self, number: u64, memory: u64, file: u64) -> Result<MemoryPermit<'_>, AdmissionError> {
        if !self.is_large(memory, file) {
            let file = acquire_many(&self.files, file.div_ceil(FILE_UNIT)).await;
            return Ok(MemoryPermit { bytes: self.small, share: Share::Small { file } });
        }
        if memory > self.max_per_picture() {
            return Err(AdmissionError::TooLarge { needed: memory, available: self.max_per_picture() });
        }
        let busy = |_| AdmissionError::Busy { retry_after: self.hand_back.next(MAX_HELD) };
        let held = self.held.try_acquire().map_err(busy)?;
        let units = memory.div_ceil(UNIT);
        let admit = async || (acquire_many(&self.places, 1).await, acquire_many(&self.memory, units).await);
        let (place, permits) = self.line.enter(number).acquire_as_first(admit).await;
        self.hand_back.admitted();
        let share = Share::Large { memory: permits, place: Some(place), _held: held };
        Ok(MemoryPermit { bytes: units * UNIT, share })
    }

    /// Waits for a render slot.
    pub async fn render_slot(&self) -> RenderSlot<'_> {
        RenderSlot(acquire_many(&self.slots, 1).await)
    }

    /// A permit to store renditions without the job's slot, if there is one.
    pub fn try_finish(&self) -> Option<FinishPermit<'_>> {
        self.finishing.try_acquire().ok().map(FinishPermit)
    }
}

impl MemoryPermit<'_> {
    /// Maximum memory of the picture, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the permit is enough for a picture that needs `memory` bytes and has files of `file` bytes.
    pub fn covers(&self, memory: u64, file: u64) -> bool {
        let is_file_covered = match &self.share {
            Share::Small { file: permit } => file.div_ceil(FILE_UNIT) <= permit.num_permits() as u64,
            // Part of the estimate.
            Share::Large { .. } => true,
        };
        is_file_covered && memory <= self.bytes
    }

    /// Gives back what a large picture has beyond `needed` bytes.
    pub fn shrink(&mut self, needed: u64) {
        if let Share::Large { memory, .. } = &mut self.share {
            let needed = needed.div_ceil(UNIT);
            let spare = (self.bytes / UNIT).saturating_sub(needed);
            drop(usize::try_from(spare).ok().and_then(|spare| memory.split(spare)));
            self.bytes -= spare * UNIT;
        }
    }

    /// The picture is rendered: another large one may be admitted if its memory is free.
    pub fn rendered(&mut self) {
        if let Share::Large { place, .. } = &mut self.share {
            *place = None;
        }
    }
}

fn semaphore(permits: u64) -> Semaphore {
    // Less than 2^32, so that any number of permits can be asked for.
    let permits = permits.min((Semaphore::MAX_PERMITS as u64).min(u32::MAX.into()));
    Semaphore::new(usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS))
}

/// In the order of the calls.
async fn acquire_many(semaphore: &Semaphore, permits: u64) -> SemaphorePermit<'_> {
    let permits = u32::try_from(permits).unwrap_or(u32::MAX);
    semaphore.acquire_many(permits).await.expect("no semaphore of the admission is ever closed")
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future::join_all};

    use super::*;

    #[tokio::test]
    async fn large_pictures_wait_in_the_order_of_their_coming_and_small_ones_pass_them() {
        let admission = Admission::new(3200 * UNIT, 2);
        let first = admission.acquire(1, 2000 * UNIT, 1).await.unwrap();
        let mut second = Box::pin(admission.acquire(2, 1000 * UNIT, 1));
        let mut third = Box::pin(admission.acquire(3, 400 * UNIT, 1));
        assert!(futures::poll!(&mut second).is_pending(), "no memory is free");
        assert!(futures::poll!(&mut third).is_pending(), "it would fit, but it came later");
        let small = join_all((4..14).map(|number| admission.acquire(number, 300 * UNIT, UNIT))).now_or_never().unwrap();
        assert!(small.iter().all(Result::is_ok));
        drop(first);
        let _second = second.now_or_never().unwrap().unwrap();
        third.now_or_never().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_large_picture_that_comes_late_takes_its_place_in_the_order_of_claims() {
        let admission = Admission::new(3200 * UNIT, 2);
        let first = admission.acquire(1, 2000 * UNIT, 1).await.unwrap();
        let mut third = Box::pin(admission.acquire(3, 1500 * UNIT, 1));
        assert!(futures::poll!(&mut third).is_pending());
        let mut second = Box::pin(admission.acquire(2, 1500 * UNIT, 1));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert!(futures::poll!(&mut third).is_pending(), "the second was claimed before");
        drop(second.now_or_never().unwrap().unwrap());
        third.now_or_never().unwrap().unwrap();
    }

    #[tokio::test]
    async fn those_who_leave_the_line_keep_nobody() {
        let admission = Admission::new(3200 * UNIT, 2);
        let first = admission.acquire(1, 2000 * UNIT, 1).await.unwrap();
        let mut second = Box::pin(admission.acquire(2, 1500 * UNIT, 1));
        let mut third = Box::pin(admission.acquire(3, 400 * UNIT, 1));
        assert!(futures::poll!(&mut second).is_pending() && futures::poll!(&mut third).is_pending());
        drop(second);
        third.now_or_never().unwrap().unwrap();
        drop(first);
    }

    #[tokio::test]
    async fn files_of_small_pictures_are_bounded() {
        let admission = Admission::new(1600 * UNIT, 1);
        let first = admission.acquire(1, UNIT, 60 * UNIT).await.unwrap();
        let mut second = Box::pin(admission.acquire(2, UNIT, 60 * UNIT));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        second.now_or_never().unwrap().unwrap();
        assert!(admission.is_large(UNIT, 101 * UNIT), "a file beyond the share of small files");
    }

    #[tokio::test]
    async fn what_a_large_picture_does_not_need_is_for_the_next() {
        let admission = Admission::new(3200 * UNIT, 2);
        let mut first = admission.acquire(1, 2000 * UNIT, 1).await.unwrap();
        let mut second = Box::pin(admission.acquire(2, 1000 * UNIT, 1));
        assert!(futures::poll!(&mut second).is_pending());
        first.shrink(1000 * UNIT);
        assert_eq!(first.bytes(), 1000 * UNIT);
        second.now_or_never().unwrap().unwrap();
    }

    #[tokio::test]
    async fn at_most_one_large_picture_more_than_there_are_slots_is_admitted_before_rendering() {
        let admission = Admission::new(32_000 * UNIT, 1);
        let mut first = admission.acquire(1, 7000 * UNIT, 1).await.unwrap();
        let _second = admission.acquire(2, 7000 * UNIT, 1).await.unwrap();
        let mut third = Box::pin(admission.acquire(3, 7000 * UNIT, 1));
        assert!(futures::poll!(&mut third).is_pending());
        first.rendered();
        third.now_or_never().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_process_holds_a_bounded_number_of_large_pictures_and_spreads_the_others() {
        let admission = Admission::new(3200 * UNIT, 2);
        let _admitted = admission.acquire(1, 2000 * UNIT, 1).await.unwrap();
        let mut waiting: Vec<_> =
            (2..).take(MAX_HELD - 1).map(|number| Box::pin(admission.acquire(number, 2000 * UNIT, 1))).collect();
        for picture in &mut waiting {
            assert!(futures::poll!(picture).is_pending());
        }
        let refused = |result: Result<MemoryPermit<'_>, AdmissionError>| match result {
            Err(AdmissionError::Busy { retry_after }) => retry_after,
            other => panic!("{other:?}"),
        };
        let first = refused(admission.acquire(1000, 2000 * UNIT, 1).await);
        let second = refused(admission.acquire(1001, 2000 * UNIT, 1).await);
        assert!(first < second, "they do not come back at the same time");
    }

    #[tokio::test]
    async fn a_picture_that_can_never_fit_is_refused() {
        let admission = Admission::new(4000 * UNIT, 4);
        let refused = admission.acquire(1, 3001 * UNIT, 1).await.err();
        assert_eq!(refused, Some(AdmissionError::TooLarge { needed: 3001 * UNIT, available: 3000 * UNIT }));
        assert!(admission.acquire(2, 3000 * UNIT, 1).await.is_ok());
    }
}
