//! Image sequences: the tracks of a `moov` box (ISO/IEC 14496-12, section 8; ISO/IEC 23008-12, section 7).

use super::{Layout, box_reader::BoxReader, meta_box::is_alpha};

/// The most samples of a track to read, in bytes of memory about 4 MB. The limit of frames is far below.
const MAX_SAMPLES: u32 = 100_000;

/// The frames of an image sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// How many times it is shown; 0 means forever.
    pub plays: u32,
    /// The frames in their order; at least one.
    pub frames: Vec<SequenceFrame>,
}

/// A frame of an image sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceFrame {
    /// Offset from the start of the file and length of the coded colours, in bytes.
    pub colour: (u64, u64),
    /// The same of the alpha channel.
    pub alpha: Option<(u64, u64)>,
    /// How long it is shown.
    pub milliseconds: u32,
}

/// The sequence in the body of a `moov` box, with the properties of its first sample entry. `None` where there is no track of
/// AV1 pictures, or a box of it is malformed.
pub(super) fn layout(moov: BoxReader<'_>) -> Option<Layout> {
    let tracks: Vec<Track<'_>> = moov
        .boxes()?
        .into_iter()
        .filter(|(kind, _)| kind == b"trak")
        .filter_map(|(_, body)| Track::parse(body))
        .collect();
    let colour =
        tracks.iter().find(|track| matches!(track.handler, b"pict" | b"vide") && track.auxiliary_of.is_none())?;
    let alpha = tracks.iter().find(|track| track.auxiliary_of == Some(colour.id) && track.is_alpha());
    let mut layout = colour.properties()?;
    let samples = colour.samples()?;
    let alphas = match alpha {
        Some(alpha) => Some(alpha.samples().filter(|alphas| alphas.len() >= samples.len())?),
        None => None,
    };
    let mut ticks: u64 = 0;
    let mut frames = Vec::with_capacity(samples.len());
    for (index, (place, duration)) in samples.iter().enumerate() {
        let start = colour.milliseconds(ticks)?;
        ticks = ticks.checked_add((*duration).into())?;
        let milliseconds = u32::try_from(colour.milliseconds(ticks)? - start).unwrap_or(u32::MAX);
        let alpha = alphas.as_ref().map(|alphas| alphas[index].0);
        frames.push(SequenceFrame { colour: *place, alpha, milliseconds });
    }
    layout.premultiplied = alpha.is_some_and(|alpha| colour.premultiplied_by == Some(alpha.id));
    layout.sequence = Some(Sequence { plays: colour.plays(), frames }).filter(|sequence| !sequence.frames.is_empty());
    layout.sequence.is_some().then_some(layout)
}

/// A `trak` box.
struct Track<'a> {
    id: u32,
    /// In units of the movie's time scale; `None` where it is unknown.
    duration: Option<u64>,
    handler: &'a [u8],
    /// Units of time in a second.
    time_scale: u32,
    auxiliary_of: Option<u32>,
    premultiplied_by: Option<u32>,
    sample_table: BoxReader<'a>,
    edit_list: Option<BoxReader<'a>>,
}

impl<'a> Track<'a> {
    fn parse(body: BoxReader<'a>) -> Option<Self> {
        let mut header = body.child(*b"tkhd")?;
        let is_long = header.full_box()?.0 == 1;
        let word = if is_long { 8 } else { 4 };
        header.take(2 * word)?; // times of creation and modification
        let id = header.u32()?;
        header.u32()?;
        let duration = header.number(word)?;
        let unknown = if is_long { u64::MAX } else { u32::MAX.into() };
        let media = body.child(*b"mdia")?;
        let mut media_header = media.child(*b"mdhd")?;
        let word = if media_header.full_box()?.0 == 1 { 8 } else { 4 };
        media_header.take(2 * word)?;
        let time_scale = media_header.u32()?;
        let handler = media.child(*b"hdlr")?.0.get(8..12)?;
        let sample_table = media.child(*b"minf")?.child(*b"stbl")?;
        let references = body.child(*b"tref");
        let reference = |kind| references.and_then(|references| references.child(kind)?.u32());
        Some(Self {
            id,
            duration: (duration != unknown).then_some(duration),
            handler,
            time_scale,
            auxiliary_of: reference(*b"auxl"),
            premultiplied_by: reference(*b"prem"),
            sample_table,
            edit_list: body.child(*b"edts").and_then(|edits| edits.child(*b"elst")),
        })
    }

    /// The boxes of the first sample entry, after its fields, with its width and height.
    fn sample_entry(&self) -> Option<(BoxReader<'a>, (u32, u32))> {
        let mut descriptions = self.sample_table.child(*b"stsd")?;
        descriptions.full_box()?;
        descriptions.u32()?;
        let (kind, mut entry) = descriptions.next_box()?;
        if &kind != b"av01" {
            return None;
        }
        entry.take(24)?;
        let size = (entry.u16()?.into(), entry.u16()?.into());
        entry.take(50)?;
        Some((entry, size))
    }

    /// Width, height, and the properties of the coded pictures.
    fn properties(&self) -> Option<Layout> {
        let (entry, coded_size) = self.sample_entry()?;
        let mut layout = Layout { coded_size, ..Layout::default() };
        for (kind, body) in entry.boxes()? {
            if matches!(&kind, b"av1C" | b"colr") {
                layout.property(kind, body)?;
            }
        }
        (coded_size.0 > 0 && coded_size.1 > 0 && layout.depth > 0).then_some(layout)
    }

    /// Whether its pictures are alpha channels. Without a type it is one, because other auxiliary tracks have to say so.
    fn is_alpha(&self) -> bool {
        let kind = self.sample_entry().and_then(|(entry, _)| entry.child(*b"auxi"));
        self.handler == b"auxv" && kind.is_none_or(|kind| is_alpha(kind.0.get(4..).unwrap_or_default()))
    }

    fn milliseconds(&self, ticks: u64) -> Option<u64> {
        u64::try_from(u128::from(ticks) * 1000 / u128::from(self.time_scale.max(1))).ok()
    }

    /// How often the edit list repeats the media; forever where there is none, as in browsers.
    fn plays(&self) -> u32 {
        let edits = || {
            let mut edits = self.edit_list?;
            let (version, flags) = edits.full_box()?;
            edits.u32()?;
            let segment = edits.number(if version == 1 { 8 } else { 4 })?;
            Some((flags & 1 == 1, segment))
        };
        match (edits(), self.duration) {
            (Some((false, _)), _) => 1,
            (Some((true, segment @ 1..)), Some(duration)) => u32::try_from(duration.div_ceil(segment)).unwrap_or(0),
            _ => 0,
        }
    }

    /// Offset, length and duration of each sample.
    fn samples(&self) -> Option<Vec<((u64, u64), u32)>> {
        let sizes = self.sample_sizes()?;
        let durations = self.durations(sizes.len())?;
        let chunks = self.chunk_offsets()?;
        let mut runs = self.table(*b"stsc")?;
        let runs: Vec<(u32, u32)> = (0..runs.u32()?.min(MAX_SAMPLES))
            .map(|_| {
                let run = (runs.u32()?, runs.u32()?);
                runs.u32()?;
                Some(run)
            })
            .collect::<Option<_>>()?;
        let mut samples = Vec::with_capacity(sizes.len());
        let mut run = 0;
        for (number, offset) in (1_u32..).zip(chunks) {
            while runs.get(run + 1).is_some_and(|(first, _)| *first <= number) {
                run += 1;
            }
            let mut at = offset;
            for _ in 0..runs.get(run)?.1 {
                let Some(size) = sizes.get(samples.len()) else { return Some(samples) };
                samples.push(((at, *size), durations[samples.len()]));
                at = at.checked_add(*size)?;
            }
        }
        (samples.len() == sizes.len()).then_some(samples)
    }

    /// A table of the sample table, after its version and flags.
    fn table(&self, kind: [u8; 4]) -> Option<BoxReader<'a>> {
        let mut table = self.sample_table.child(kind)?;
        table.full_box()?;
        Some(table)
    }

    fn sample_sizes(&self) -> Option<Vec<u64>> {
        let mut table = self.table(*b"stsz")?;
        let (size, count) = (table.u32()?, table.u32()?);
        if count > MAX_SAMPLES {
            return None;
        }
        (0..count).map(|_| if size > 0 { Some(size) } else { table.u32() }).map(|size| size.map(u64::from)).collect()
    }

    fn durations(&self, samples: usize) -> Option<Vec<u32>> {
        let mut table = self.table(*b"stts")?;
        let mut durations = Vec::with_capacity(samples);
        for _ in 0..table.u32()? {
            let (count, duration) = (table.u32()?, table.u32()?);
            let count = usize::try_from(count).ok()?.min(samples - durations.len());
            durations.extend(std::iter::repeat_n(duration, count));
            if durations.len() == samples {
                break;
            }
        }
        durations.resize(samples, 0);
        Some(durations)
    }

    fn chunk_offsets(&self) -> Option<Vec<u64>> {
        let (mut table, bytes) = match self.table(*b"stco") {
            Some(table) => (table, 4),
            None => (self.table(*b"co64")?, 8),
        };
        (0..table.u32()?.min(MAX_SAMPLES)).map(|_| table.number(bytes)).collect()
    }
}
