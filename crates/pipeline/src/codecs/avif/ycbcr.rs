//! `Y'CbCr` planes to RGB (ITU-T H.273).
#![expect(clippy::cast_precision_loss, reason = "at most 16 bits")]

use darkroom_container::header::heif::Layout;
use darkroom_raster::{Channels, Raster};
use re_rav1d::dav1d::PixelLayout;

use super::planes::Planes;
use crate::RenderError;

/// How the planes code a colour.
pub(in crate::codecs) struct Coding {
    matrix: Matrix,
    full_range: bool,
}

/// ITU-T H.273, table 4.
#[derive(Clone, Copy)]
enum Matrix {
    /// The planes are green, blue and red.
    Identity,
    /// The weights Kr and Kb of red and blue in luma.
    Luma(f32, f32),
    YCgCo,
}

impl Coding {
    /// The container's `nclx` property takes precedence over the stream's header.
    pub(in crate::codecs) fn new(layout: &Layout, planes: &Planes) -> Result<Self, RenderError> {
        let full_range = layout.nclx.map_or(planes.full_range, |nclx| nclx.full_range);
        let (code, primaries) = match layout.nclx {
            Some(nclx) => (nclx.matrix, nclx.primaries),
            None => (planes.matrix, 1),
        };
        let matrix = match (code, primaries) {
            (0, _) => Matrix::Identity,
            (1, _) | (12, 1) => Matrix::Luma(0.2126, 0.0722),
            (4, _) => Matrix::Luma(0.30, 0.11),
            // Unspecified is taken for BT.601, as in JPEG.
            (2 | 5 | 6 | 12, _) if code != 12 || primaries != 9 => Matrix::Luma(0.299, 0.114),
            (7, _) => Matrix::Luma(0.212, 0.087),
            (8, _) => Matrix::YCgCo,
            (9 | 12, _) => Matrix::Luma(0.2627, 0.0593),
            _ => {
                let detail = "This is a picture with an unusual coding of colours, which is not read.";
                return Err(RenderError::unsupported(detail, format!("matrix {code}")));
            }
        };
        Ok(Self { matrix, full_range })
    }

    /// R'G'B' from luma, 0 to 1, and Cb and Cr, -0.5 to 0.5. The result may exceed 0 to 1.
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

/// One plane; rows are read as fractions of the range.
struct Plane<'a> {
    samples: &'a [u16],
    width: usize,
    height: usize,
    scale: f32,
    offset: f32,
}

impl<'a> Plane<'a> {
    /// `is_chroma`: samples are centred on the middle of the range, not on 0.
    fn new(planes: &'a Planes, index: usize, full_range: bool, is_chroma: bool) -> Self {
        let (unit, top) = ((1_u32 << (planes.bits - 8)) as f32, ((1_u32 << planes.bits) - 1) as f32);
        let range = match (full_range, is_chroma) {
            (true, _) => top,
            (false, false) => 219.0 * unit,
            (false, true) => 224.0 * unit,
        };
        let zero = match (full_range, is_chroma) {
            (_, true) => 128.0 * unit,
            (true, false) => 0.0,
            (false, false) => 16.0 * unit,
        };
        let (width, height) = planes.plane_size(index);
        Self { samples: &planes.samples[index], width, height, scale: 1.0 / range, offset: -zero / range }
    }

    /// Reads a row; below the plane, its last row.
    fn read(&self, y: usize, row: &mut Vec<f32>) {
        let start = y.min(self.height - 1) * self.width;
        let samples = &self.samples[start..start + self.width];
        row.clear();
        row.extend(samples.iter().map(|value| f32::from(*value).mul_add(self.scale, self.offset)));
    }
}

/// A chroma plane, upsampled to the picture's size row by row.
struct UpsampledChroma<'a> {
    plane: Plane<'a>,
    halve_x: bool,
    halve_y: bool,
    near: Vec<f32>,
    far: Vec<f32>,
    full: Vec<f32>,
}

impl<'a> UpsampledChroma<'a> {
    fn new(plane: Plane<'a>, layout: PixelLayout) -> Self {
        let halve_x = matches!(layout, PixelLayout::I420 | PixelLayout::I422);
        let halve_y = layout == PixelLayout::I420;
        Self { plane, halve_x, halve_y, near: Vec::new(), far: Vec::new(), full: Vec::new() }
    }

    /// Chroma samples are centred between the pixels they cover, so the two nearest are weighted 3 to 1, as in libjpeg and
    /// libavif.
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

/// The pixels of a picture, its colours divided by alpha where they were `premultiplied`. `top` is the largest sample value;
/// `narrow` converts to it.
pub(in crate::codecs) fn raster<T: Copy + Default>(
    planes: &Planes,
    alpha: Option<&Planes>,
    coding: &Coding,
    premultiplied: bool,
    top: f32,
    narrow: impl Fn(f32) -> T,
) -> Raster<T> {
    let layout = planes.layout;
    let (width, height) = planes.size;
    let channels = match (layout == PixelLayout::I400, alpha.is_some()) {
        (true, false) => Channels::Gray,
        (true, true) => Channels::GrayAlpha,
        (false, false) => Channels::Rgb,
        (false, true) => Channels::Rgba,
    };
    let luma = Plane::new(planes, 0, coding.full_range, false);
    // With the identity matrix, all planes have luma's range; `Coding::rgb` adds the half back.
    let chroma = |index| {
        let mut plane = Plane::new(planes, index, coding.full_range, !matches!(coding.matrix, Matrix::Identity));
        if matches!(coding.matrix, Matrix::Identity) {
            plane.offset -= 0.5;
        }
        UpsampledChroma::new(plane, layout)
    };
    let mut chroma_planes = (layout != PixelLayout::I400).then(|| (chroma(1), chroma(2)));
    let alpha = alpha.map(|alpha| Plane::new(alpha, 0, true, false));
    let (mut luma_row, mut alpha_row) = (Vec::new(), Vec::new());
    let mut raster = Raster::new(width, height, channels);
    let row_length = raster.row_length();
    let coded = |value: f32| narrow((value * top).clamp(0.0, top) + 0.5);
    for (y, row) in raster.samples.chunks_exact_mut(row_length).enumerate() {
        luma.read(y, &mut luma_row);
        if let Some(alpha) = &alpha {
            alpha.read(y, &mut alpha_row);
        }
        let chroma = chroma_planes.as_mut().map(|(u, v)| (u.row(y, width as usize), v.row(y, width as usize)));
        for (x, pixel) in row.chunks_exact_mut(channels.count()).enumerate() {
            let mut colour = match chroma {
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
