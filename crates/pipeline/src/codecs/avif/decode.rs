//! AVIF: the container by `darkroom_container::header::avif`, the AV1 data by rav1d, and the way from YCbCr to RGB.
// Samples have at most 16 bits, and are clamped before they become whole numbers.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]

use std::io::Cursor;

use darkroom_container::header::{
    self, Header,
    avif::{self, Extents, Layout},
};
use darkroom_model::{Failure, FailureCode};
use re_rav1d::dav1d::{
    Decoder, Error, Picture, PixelLayout, PlanarImageComponent, Settings,
    pixel::{MatrixCoefficients as Coded, YUVRange},
};

use darkroom_raster::{Channels, Orientation, Raster, Samples};

use crate::{
    RenderError,
    codecs::{Metadata, check_size},
    colour::{MAX_PROFILE, Space},
};

/// The orientation is `irot` and `imir`'s alone: they are part of the picture, and EXIF's tag, which repeats them where
/// it is right, is passed over as in browsers.
pub(crate) fn metadata(bytes: &[u8]) -> Result<Metadata, RenderError> {
    let layout = layout(bytes)?;
    let space = match (&layout.profile, layout.nclx) {
        (Some(profile), _) if profile.len() <= MAX_PROFILE => Space::Icc(profile.clone()),
        (_, Some(nclx)) => Space::from_code_points(nclx.primaries, nclx.transfer),
        _ => Space::Srgb,
    };
    Ok(Metadata { orientation: orientation(&layout), space, ..Metadata::default() })
}

fn layout(bytes: &[u8]) -> Result<Layout, RenderError> {
    Ok(header::avif_layout(&mut Cursor::new(bytes))?)
}

/// The EXIF item says first how far behind its own first four bytes the TIFF structure begins (ISO/IEC 23008-12, annex A.2).
pub(crate) fn exif_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let data = avif::concat_extents(bytes, &layout(bytes).ok()?.exif?)?;
    let (start, data) = data.split_first_chunk::<4>()?;
    data.get(u32::from_be_bytes(*start) as usize..).map(<[u8]>::to_vec)
}

/// First the turns, then the mirror (ISO/IEC 23000-22, section 7.3.6.7).
fn orientation(layout: &Layout) -> Orientation {
    let mut orientation = Orientation::from_tag(match layout.turns {
        1 => 8,
        2 => 3,
        3 => 6,
        _ => 1,
    });
    match layout.mirror {
        Some(0) => orientation.flip = !orientation.flip,
        Some(_) => orientation.mirror = !orientation.mirror,
        None => {}
    }
    orientation
}

pub(crate) fn decode(bytes: &[u8], header: &Header) -> Result<Samples, RenderError> {
    let layout = layout(bytes)?;
    let picture = picture(bytes, &layout.colour, header)?;
    let alpha = layout.alpha.as_ref().map(|extents| self::picture(bytes, extents, header)).transpose()?;
    let deep = [Some(&picture), alpha.as_ref()].into_iter().flatten().any(|picture| picture.bit_depth() > 8);
    let coding = Coding::new(&layout, &picture)?;
    Ok(if deep {
        Samples::Sixteen(raster(&picture, alpha.as_ref(), &coding, layout.premultiplied, 65_535.0, |v| v as u16))
    } else {
        Samples::Eight(raster(&picture, alpha.as_ref(), &coding, layout.premultiplied, 255.0, |v| v as u8))
    })
}

/// How often the decoder may ask for the rest of its data before it gives a picture.
const TURNS: usize = 1_000;

fn fault(error: Error) -> RenderError {
    match error {
        Error::NotEnoughMemory => RenderError::bug("no memory for an AVIF"),
        error => RenderError::broken("AVIF", error),
    }
}

/// Decodes the first frame of an AV1 stream.
fn picture(bytes: &[u8], extents: &Extents, header: &Header) -> Result<Picture, RenderError> {
    let data = avif::concat_extents(bytes, extents).filter(|data| !data.is_empty());
    let data = data.ok_or_else(|| RenderError::truncated("AVIF", "an extent lies outside of the file"))?;
    let mut settings = Settings::new();
    // Pictures, not threads, are what is worked on side by side.
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_frame_size_limit(header.width.saturating_mul(header.height));
    let mut decoder = Decoder::with_settings(&settings).map_err(fault)?;
    let mut sent = decoder.send_data(data.into_boxed_slice(), None, None, None);
    for _ in 0..TURNS {
        match (decoder.get_picture(), sent) {
            (Ok(picture), _) => {
                check_size(header, (picture.width(), picture.height()), "AVIF")?;
                return Ok(picture);
            }
            (Err(Error::Again), Err(Error::Again)) => sent = decoder.send_pending_data(),
            (Err(Error::Again), Ok(())) => break,
            (Err(Error::Again), Err(error)) | (Err(error), _) => return Err(fault(error)),
        }
    }
    Err(RenderError::truncated("AVIF", "no frame"))
}

/// How the planes mean a colour.
struct Coding {
    matrix: Matrix,
    full_range: bool,
}

/// ITU-T H.273, table 4.
#[derive(Clone, Copy)]
enum Matrix {
    /// The planes are green, blue and red.
    Identity,
    /// The weights of red and of blue in luma.
    Luma(f32, f32),
    YCgCo,
}

impl Coding {
    /// What the container says goes before what the stream says.
    fn new(layout: &Layout, picture: &Picture) -> Result<Self, RenderError> {
        let full_range = layout.nclx.map_or(picture.color_range() == YUVRange::Full, |nclx| nclx.full_range);
        let (code, primaries) = match layout.nclx {
            Some(nclx) => (nclx.matrix, nclx.primaries),
            None => (code_point(picture.matrix_coefficients()), 1),
        };
        let matrix = match (code, primaries) {
            (0, _) => Matrix::Identity,
            (1, _) | (12, 1) => Matrix::Luma(0.2126, 0.0722),
            (4, _) => Matrix::Luma(0.30, 0.11),
            // What is not said is BT.601, as in JPEG.
            (2 | 5 | 6 | 12, _) if code != 12 || primaries != 9 => Matrix::Luma(0.299, 0.114),
            (7, _) => Matrix::Luma(0.212, 0.087),
            (8, _) => Matrix::YCgCo,
            (9 | 12, _) => Matrix::Luma(0.2627, 0.0593),
            _ => {
                let detail = "This is an AVIF with an unusual coding of colours, which is not read.".to_owned();
                let failure = Failure { code: FailureCode::UnsupportedFormat, detail };
                return Err(RenderError::Faulty { failure, cause: format!("matrix {code}") });
            }
        };
        Ok(Self { matrix, full_range })
    }

    /// Red, green and blue from luma, 0 to 1, and the two differences, -0.5 to 0.5; they may leave 0 to 1.
    fn rgb(&self, y: f32, u: f32, v: f32) -> [f32; 3] {
        match self.matrix {
            Matrix::Identity => [v + 0.5, y, u + 0.5],
            Matrix::Luma(kr, kb) => {
                let (r, b) = (y + 2.0 * (1.0 - kr) * v, y + 2.0 * (1.0 - kb) * u);
                [r, (y - kr * r - kb * b) / (1.0 - kr - kb), b]
            }
            Matrix::YCgCo => [y - u + v, y + u, y - u - v],
        }
    }
}

fn code_point(matrix: Coded) -> u16 {
    match matrix {
        Coded::Identity => 0,
        Coded::BT709 => 1,
        Coded::BT470M => 4,
        Coded::BT470BG | Coded::ST170M => 6,
        Coded::ST240M => 7,
        Coded::YCgCo => 8,
        Coded::BT2020NonConstantLuminance => 9,
        Coded::BT2020ConstantLuminance => 10,
        Coded::ST2085 => 11,
        Coded::ChromaticityDerivedNonConstantLuminance => 12,
        Coded::ChromaticityDerivedConstantLuminance => 13,
        Coded::ICtCp => 14,
        _ => 2,
    }
}

/// One plane, its rows as fractions.
struct Plane {
    data: re_rav1d::dav1d::Plane,
    /// Bytes.
    stride: usize,
    width: usize,
    height: usize,
    deep: bool,
    scale: f32,
    offset: f32,
}

impl Plane {
    /// `centre`: samples lie around the middle of the range (a colour difference), not from 0 upwards.
    fn new(picture: &Picture, component: PlanarImageComponent, full_range: bool, centre: bool) -> Self {
        let halved = component != PlanarImageComponent::Y;
        let (halve_x, halve_y) = match picture.pixel_layout() {
            PixelLayout::I420 => (halved, halved),
            PixelLayout::I422 => (halved, false),
            PixelLayout::I400 | PixelLayout::I444 => (false, false),
        };
        let side = |length: u32, halve: bool| (if halve { length.div_ceil(2) } else { length }) as usize;
        let bits = picture.bits_per_component().map_or(8, |bits| bits.0);
        let (unit, top) = ((1_u32 << (bits - 8)) as f32, ((1_u32 << bits) - 1) as f32);
        let range = match (full_range, centre) {
            (true, _) => top,
            (false, false) => 219.0 * unit,
            (false, true) => 224.0 * unit,
        };
        let zero = match (full_range, centre) {
            (_, true) => 128.0 * unit,
            (true, false) => 0.0,
            (false, false) => 16.0 * unit,
        };
        Self {
            stride: picture.stride(component) as usize,
            data: picture.plane(component),
            width: side(picture.width(), halve_x),
            height: side(picture.height(), halve_y),
            deep: picture.bit_depth() > 8,
            scale: 1.0 / range,
            offset: -zero / range,
        }
    }

    /// Reads a row; past the last one, the last.
    fn read(&self, y: usize, row: &mut Vec<f32>) {
        let bytes = &self.data[y.min(self.height - 1) * self.stride..];
        let scaled = |value: u16| f32::from(value).mul_add(self.scale, self.offset);
        row.clear();
        if self.deep {
            row.extend(bytes[..2 * self.width].chunks_exact(2).map(|b| scaled(u16::from_ne_bytes([b[0], b[1]]))));
        } else {
            row.extend(bytes[..self.width].iter().map(|b| scaled(u16::from(*b))));
        }
    }
}

/// Rows of a colour difference at the picture's full size.
struct Upsampled {
    plane: Plane,
    halve_x: bool,
    halve_y: bool,
    near: Vec<f32>,
    far: Vec<f32>,
    full: Vec<f32>,
}

impl Upsampled {
    fn new(plane: Plane, layout: PixelLayout) -> Self {
        let halve_x = matches!(layout, PixelLayout::I420 | PixelLayout::I422);
        let halve_y = layout == PixelLayout::I420;
        Self { plane, halve_x, halve_y, near: Vec::new(), far: Vec::new(), full: Vec::new() }
    }

    /// Samples lie in the middle of the pixels they stand for: those around count 3 to 1, as in libjpeg and libavif.
    fn row(&mut self, y: usize, width: usize) -> &[f32] {
        if self.halve_y {
            self.plane.read(y / 2, &mut self.near);
            let other = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { y / 2 + 1 };
            self.plane.read(other, &mut self.far);
            for (near, far) in self.near.iter_mut().zip(&self.far) {
                *near = 0.75 * *near + 0.25 * far;
            }
        } else {
            self.plane.read(y, &mut self.near);
        }
        if !self.halve_x {
            return &self.near;
        }
        let last = self.near.len() - 1;
        self.full.clear();
        for (x, value) in self.near.iter().enumerate() {
            self.full.push(0.75 * value + 0.25 * self.near[x.saturating_sub(1)]);
            self.full.push(0.75 * value + 0.25 * self.near[(x + 1).min(last)]);
        }
        self.full.truncate(width);
        &self.full
    }
}

fn raster<T: Copy + Default>(
    picture: &Picture,
    alpha: Option<&Picture>,
    coding: &Coding,
    premultiplied: bool,
    top: f32,
    narrow: impl Fn(f32) -> T,
) -> Raster<T> {
    let layout = picture.pixel_layout();
    let (width, height) = (picture.width(), picture.height());
    let channels = match (layout == PixelLayout::I400, alpha.is_some()) {
        (true, false) => Channels::Gray,
        (true, true) => Channels::GrayAlpha,
        (false, false) => Channels::Rgb,
        (false, true) => Channels::Rgba,
    };
    let luma = Plane::new(picture, PlanarImageComponent::Y, coding.full_range, false);
    // Identity's planes are all of luma's kind; `Coding::rgb` adds back the half.
    let difference = |component| {
        let mut plane = Plane::new(picture, component, coding.full_range, !matches!(coding.matrix, Matrix::Identity));
        if matches!(coding.matrix, Matrix::Identity) {
            plane.offset -= 0.5;
        }
        Upsampled::new(plane, layout)
    };
    let mut differences = (layout != PixelLayout::I400)
        .then(|| (difference(PlanarImageComponent::U), difference(PlanarImageComponent::V)));
    let alpha = alpha.map(|alpha| {
        let full_range = alpha.color_range() == YUVRange::Full;
        Plane::new(alpha, PlanarImageComponent::Y, full_range, false)
    });
    let (mut luma_row, mut alpha_row) = (Vec::new(), Vec::new());
    let mut raster = Raster::new(width, height, channels);
    let row_length = raster.row_length();
    let coded = |value: f32| narrow((value * top).clamp(0.0, top) + 0.5);
    for (y, row) in raster.samples.chunks_exact_mut(row_length).enumerate() {
        luma.read(y, &mut luma_row);
        if let Some(alpha) = &alpha {
            alpha.read(y, &mut alpha_row);
        }
        let differences = differences.as_mut().map(|(u, v)| (u.row(y, width as usize), v.row(y, width as usize)));
        for (x, pixel) in row.chunks_exact_mut(channels.count()).enumerate() {
            let mut colour = match differences {
                Some((u, v)) => coding.rgb(luma_row[x], u[x], v[x]),
                None => [luma_row[x]; 3],
            };
            if let Some(alpha) = alpha_row.get(x) {
                if premultiplied && *alpha > 0.0 {
                    colour = colour.map(|value| value / alpha);
                }
                pixel[channels.count() - 1] = coded(*alpha);
            }
            for (sample, value) in pixel.iter_mut().zip(&colour[..channels.without_alpha().count()]) {
                *sample = coded(*value);
            }
        }
    }
    raster
}
