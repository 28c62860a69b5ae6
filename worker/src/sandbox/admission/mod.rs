//! How much memory a picture needs, told from its header, and when there is room for it.
//!
//! Every picture is granted its estimate, and its child cannot have more. A *small* one is granted at once: a quarter of
//! the budget is set aside for as many small ones as run at once. The rest is the *lane* of the large ones: they wait
//! there for memory, and no more of them than half of the places wait or run, so that small ones always find a place.
//! So any mix of uploads stays under the budget.

use std::num::NonZeroU32;

use darkroom_container::header::Header;
use darkroom_model::{
    RenditionFormat, SourceFormat,
    recipe::{Fit, Quality, Recipe, Resize},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use darkroom_pipeline;

/// Memory is counted in these: a semaphore's permits are not enough to count bytes.
const UNIT: u64 = 1 << 20;

/// Room for pictures.
#[derive(Debug)]
pub struct Admission {
    /// Up to here a picture is small, in bytes.
    small: u64,
    /// The large ones' memory, in bytes.
    large: u64,
    /// Of the large ones, in [`UNIT`]s.
    memory: Semaphore,
    /// Of the large ones.
    places: Semaphore,
}

/// Room for one picture; given back when dropped.
#[derive(Debug)]
pub struct Room<'a> {
    _permits: Option<(SemaphorePermit<'a>, SemaphorePermit<'a>)>,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// There never will be.
    #[error("rendering it needs {needed} bytes of memory, and pictures may have {available}")]
    Ever {
        /// Bytes.
        needed: u64,
        /// Bytes.
        available: u64,
    },
    /// Other large pictures have the places.
    #[error("other large pictures are before it")]
    Now,
}

impl Admission {
    /// Room for this number of pictures at once in this number of bytes.
    pub fn new(budget: u64, places: usize) -> Self {
        let small = budget / 4 / places.max(1) as u64;
        let large = budget - small * places.max(1) as u64;
        let units = usize::try_from(large / UNIT).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        let places = Semaphore::new((places / 2).max(1));
        Self { small, large, memory: Semaphore::new(units), places }
    }

    /// The most that one picture can have, in bytes.
    pub fn most(&self) -> u64 {
        self.large / UNIT * UNIT
    }

    /// As many of these cores as a picture can use without needing more memory than is granted at once: for speed alone,
    /// none waits, and none makes others wait.
    pub fn spare_cores(&self, most: u32, needed: impl Fn(u32) -> u64) -> u32 {
        (1..=most).rev().find(|cores| needed(*cores) <= self.small).unwrap_or(0)
    }

    /// Waits until there is room for a picture that needs so many bytes; does not wait for a place.
    pub async fn room(&self, needed: u64) -> Result<Room<'_>, NoRoom> {
        if needed <= self.small {
            return Ok(Room { _permits: None });
        }
        if needed > self.most() {
            return Err(NoRoom::Ever { needed, available: self.most() });
        }
        let place = self.places.try_acquire().map_err(|_| NoRoom::Now)?;
        let units = u32::try_from(needed.div_ceil(UNIT)).unwrap_or(u32::MAX);
        // Never closed. Fair: in the order of asking.
        let memory = self.memory.acquire_many(units).await.map_err(|_| NoRoom::Now)?;
        Ok(Room { _permits: Some((place, memory)) })
    }
}

/// The memory that rendering takes at most, in bytes: that of a picture of noise, which is as bad as its header allows.
/// The source is held throughout; what it is decoded with is given back before the first rendition is encoded. The figures
/// are those that `worker/examples/memory.rs` finds, and a quarter more; a picture that runs out of it all the same has
/// another attempt with more.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// Held throughout.
    throughout: u64,
    decoding: u64,
    /// On the picture's own core.
    encoding: u64,
    /// On each spare core, the most first.
    aside: Vec<u64>,
}

impl Estimate {
    /// In bytes, with so many spare cores.
    pub fn bytes(&self, spare_cores: u32) -> u64 {
        let aside: u64 = self.aside.iter().take(spare_cores as usize).sum();
        self.throughout + self.decoding.max(self.encoding + aside)
    }
}

/// What rendering a picture by this recipe takes.
pub fn estimate(header: &Header, source: &[u8], recipe: &Recipe) -> Estimate {
    let area = u64::from(header.width) * u64::from(header.height);
    let outputs = darkroom_pipeline::outputs(source, header, recipe);
    let output = outputs.first().copied().unwrap_or_default();
    let decoded = area * u64::from(header.bits_per_pixel.max(8)).div_ceil(8);
    // A JPEG in passes is held whole as 16-bit coefficients, whatever its sampling.
    let coefficients = if header.format == SourceFormat::Jpeg && header.scans > 1 { 2 * decoded } else { 0 };
    let beside = match header.format {
        SourceFormat::Jpeg => area,
        SourceFormat::Png | SourceFormat::Webp | SourceFormat::Gif | SourceFormat::Tiff | SourceFormat::Bmp => 8 * area,
        // Their decoders hold planes of their own beside the picture: in 16 bits, and in floating point.
        SourceFormat::Avif => 16 * area,
        SourceFormat::Jxl => 32 * area,
    };
    let moving = if header.is_animated() { 32 * area + 2 * header.pixels() } else { 0 };
    let pixel = Pixel::of(header, recipe);
    Estimate {
        throughout: BASE + 2 * source.len() as u64 + moving,
        decoding: coefficients + decoded + beside + LINEAR * output,
        encoding: pixel.any * output,
        // Spare cores encode WebP, the largest first.
        aside: outputs.iter().map(|output| STACK + pixel.webp * output).collect(),
    }
}

/// Bytes for a pixel while it is encoded: in linear light, coded, and what encoders hold.
struct Pixel {
    /// Whatever it becomes.
    any: u64,
    /// As WebP, beside another.
    webp: u64,
}

impl Pixel {
    fn of(header: &Header, recipe: &Recipe) -> Self {
        let in_box = matches!(recipe, Recipe::Resize(Resize { fit: Fit::Contain, background: None, .. }));
        // One or three channels of 8 or 16 bits, but not one of 16, which may be two of 8.
        let opaque = !in_box && (header.format == SourceFormat::Jpeg || matches!(header.bits_per_pixel, 8 | 24 | 48));
        let quality = recipe.highest_quality();
        let lossy = if quality.get() <= COARSE { LOSSY } else { FINE };
        let webp = if opaque { lossy } else { 2 * lossy };
        let encoded = match recipe.format() {
            Some(RenditionFormat::Jpeg) => lossy,
            Some(RenditionFormat::Webp) => webp,
            Some(RenditionFormat::Avif) if quality <= Quality::DEFAULT => AVIF,
            Some(RenditionFormat::Avif) => FINE_AVIF,
            Some(RenditionFormat::Png) if quality == Quality::MAX => LOSSLESS,
            Some(RenditionFormat::Png) if opaque => PALETTE,
            // What comes from a JPEG becomes a PNG only where that is asked for.
            None if header.format == SourceFormat::Jpeg => webp,
            // Nor does noise.
            None if opaque => GRAPHIC,
            Some(RenditionFormat::Png) | None => TRANSPARENT_PALETTE,
        };
        let any = if recipe.is_scored() { encoded.max(LINEAR + SCORE) } else { encoded };
        Self { any, webp: webp - LINEAR }
    }
}

/// The memory that an overlay takes besides, in bytes: it is decoded, and becomes a picture no larger than it is, in linear
/// light and coded.
pub fn overlay(header: &Header, file: &[u8]) -> u64 {
    let area = u64::from(header.width) * u64::from(header.height);
    let pixel = Resize { width: Some(NonZeroU32::MIN), height: Some(NonZeroU32::MIN), ..Resize::default() };
    estimate(header, file, &Recipe::Resize(pixel)).bytes(0) - BASE + 12 * area
}

/// What any picture takes, in bytes: tables, profiles, the allocator's own.
const BASE: u64 = 32 << 20;
/// A thread's stack.
const STACK: u64 = 4 << 20;
/// A pixel in linear light: four samples.
const LINEAR: u64 = 8;
/// Up to this quality, noise is coarse when it is encoded.
const COARSE: u8 = 90;
/// JPEG, and WebP of what is opaque; twice as much of what is not.
const LOSSY: u64 = 28;
/// The same at a quality of 100, where all of the noise is kept.
const FINE: u64 = 42;
/// PNG without loss.
const LOSSLESS: u64 = 52;
/// PNG of areas of one colour: the palette is looked for in floating point.
const GRAPHIC: u64 = 52;
/// PNG of noise, which has as many colours as pixels.
const PALETTE: u64 = 100;
/// The same with alpha.
const TRANSPARENT_PALETTE: u64 = 128;
/// AV1's encoder.
const AVIF: u64 = 96;
/// The same above the standard quality.
const FINE_AVIF: u64 = 250;
/// The comparison of a rendition with what it was made of.
const SCORE: u64 = 64;

/// Memory that pictures may have where no setting says it: three quarters of what the machine, or the container, has.
pub fn available() -> u64 {
    let number = |text: String| text.trim().parse::<u64>().ok();
    let cgroup = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .find_map(|path| std::fs::read_to_string(path).ok().and_then(number));
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? << 10)
    });
    let least = [cgroup, machine].into_iter().flatten().min();
    least.unwrap_or(DEFAULT_MEMORY) / 4 * 3
}

/// Where the system does not say.
const DEFAULT_MEMORY: u64 = 4 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_pictures_leave_room_for_small_ones() {
        let admission = Admission::new(4000 * UNIT, 4);
        let first = admission.room(3000 * UNIT).await.unwrap();
        let second = admission.room(300 * UNIT);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending(), "there is a place, and no memory");
        assert_eq!(admission.room(300 * UNIT).await.err(), Some(NoRoom::Now), "half of the places are theirs");
        let small: Vec<_> = futures::future::join_all((0..4).map(|_| admission.room(250 * UNIT))).await;
        assert!(small.iter().all(Result::is_ok));
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn a_picture_that_can_never_fit_is_told_so() {
        let admission = Admission::new(4000 * UNIT, 4);
        let refused = admission.room(3001 * UNIT).await.err();
        assert_eq!(refused, Some(NoRoom::Ever { needed: 3001 * UNIT, available: 3000 * UNIT }));
        assert!(admission.room(3000 * UNIT).await.is_ok());
    }
}
