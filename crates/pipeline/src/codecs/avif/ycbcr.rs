//! `Y'CbCr` planes of AV1 to RGB (ITU-T H.273).
#![expect(clippy::cast_precision_loss, reason = "at most 16 bits")]

use darkroom_container::header::avif::Layout;
use darkroom_raster::{Channels, Raster};
use re_rav1d::dav1d::{
    Picture, PixelLayout, PlanarImageComponent,
    pixel::{MatrixCoefficients, YUVRange},
};

use crate::RenderError;

/// How the planes code a colour.
pub(super) struct Coding {
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
    pub(super) fn new(layout: &Layout, picture: &Picture) -> Result<Self, RenderError> {
        let full_range = layout.nclx.map_or(picture.color_range() == YUVRange::Full, |nclx| nclx.full_range);
        let (code, primaries) = match layout.nclx {
            Some(nclx) => (nclx.matrix, nclx.primaries),
            None => (code_point(picture.matrix_coefficients()), 1),
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
                let detail = "This is an AVIF with an unusual coding of colours, which is not read.";
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

fn code_point(matrix: MatrixCoefficients) -> u16 {
    match matrix {
        MatrixCoefficients::Identity => 0,
        MatrixCoefficients::BT709 => 1,
        MatrixCoefficients::BT470M => 4,
        MatrixCoefficients::BT470BG | MatrixCoefficients::ST170M => 6,
        MatrixCoefficients::ST240M => 7,
        MatrixCoefficients::YCgCo => 8,
        MatrixCoefficients::BT2020NonConstantLuminance => 9,
        MatrixCoefficients::BT2020ConstantLuminance => 10,
        MatrixCoefficients::ST2085 => 11,
        MatrixCoefficients::ChromaticityDerivedNonConstantLuminance => 12,
        MatrixCoefficients::ChromaticityDerivedConstantLuminance => 13,
        MatrixCoefficients::ICtCp => 14,
        _ => 2,
    }
}

/// One plane; rows are read as fractions of the range.
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
    /// `is_chroma`: samples are centred on the middle of the range, not on 0.
    fn new(picture: &Picture, component: PlanarImageComponent, full_range: bool, is_chroma: bool) -> Self {
        let halved = component != PlanarImageComponent::Y;
        let (halve_x, halve_y) = match picture.pixel_layout() {
            PixelLayout::I420 => (halved, halved),
            PixelLayout::I422 => (halved, false),
            PixelLayout::I400 | PixelLayout::I444 => (false, false),
        };
        let side = |length: u32, halve: bool| (if halve { length.div_ceil(2) } else { length }) as usize;
        let bits = picture.bits_per_component().map_or(8, |bits| bits.0);
        let (unit, top) = ((1_u32 << (bits - 8)) as f32, ((1_u32 << bits) - 1) as f32);
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

    /// Reads a row; below the plane, its last row.
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

/// A chroma plane, upsampled to the picture's size row by row.
struct UpsampledChroma {
    plane: Plane,
    halve_x: bool,
    halve_y: bool,
    near: Vec<f32>,
    far: Vec<f32>,
    full: Vec<f32>,
}

impl UpsampledChroma {
    fn new(plane: Plane, layout: PixelLayout) -> Self {
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
pub(super) fn raster<T: Copy + Default>(
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
    // With the identity matrix, all planes have luma's range; `Coding::rgb` adds the half back.
    let chroma = |component| {
        let mut plane = Plane::new(picture, component, coding.full_range, !matches!(coding.matrix, Matrix::Identity));
        if matches!(coding.matrix, Matrix::Identity) {
            plane.offset -= 0.5;
        }
        UpsampledChroma::new(plane, layout)
    };
    let mut chroma_planes =
        (layout != PixelLayout::I400).then(|| (chroma(PlanarImageComponent::U), chroma(PlanarImageComponent::V)));
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
