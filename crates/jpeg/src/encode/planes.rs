//! From pixels to planes of luminance and colour, some rows at a time.

use darkroom_raster::Raster;

/// Rows of luminance and of both colour differences, all around zero.
pub(super) struct Planes {
    stride: usize,
    whole: Vec<Vec<f32>>,
    /// The colour differences at half the resolution, where that is asked for.
    halves: Vec<Vec<f32>>,
}

impl Planes {
    /// Of `count` planes of `rows` rows of `stride` samples; those of colour are `halved` as well, where that is asked for.
    pub(super) fn new(stride: usize, rows: usize, count: usize, halved: bool) -> Self {
        let whole = vec![vec![0.0; stride * rows]; count];
        let halves = vec![vec![0.0; stride * rows / 4]; if halved { count - 1 } else { 0 }];
        Self { stride, whole, halves }
    }

    /// Takes the rows of a picture from `first` on. Beyond its edges, its last row and column are repeated.
    #[inline(always)]
    pub(super) fn fill(&mut self, picture: &Raster<u8>, first: usize) {
        let (width, row_length) = (picture.width as usize, picture.row_length());
        let last = picture.height as usize - 1;
        let stride = self.stride;
        for y in 0..self.whole[0].len() / stride {
            let row = &picture.samples[(first + y).min(last) * row_length..][..row_length];
            let mut lines = self.whole.iter_mut().map(|plane| &mut plane[y * stride..][..stride]);
            match (lines.next(), lines.next(), lines.next()) {
                (Some(y), Some(cb), Some(cr)) => {
                    colours(row, y, cb, cr);
                    extend(y, width);
                    extend(cb, width);
                    extend(cr, width);
                }
                (Some(y), ..) => {
                    gray(row, y);
                    extend(y, width);
                }
                _ => {}
            }
        }
        for (half, plane) in self.halves.iter_mut().zip(&self.whole[1..]) {
            for (half, rows) in half.chunks_exact_mut(stride / 2).zip(plane.chunks_exact(2 * stride)) {
                let (upper, lower) = rows.split_at(stride);
                halve(upper, lower, half);
            }
        }
    }

    /// The plane of a component, whole or at half the resolution, and how long its rows are.
    pub(super) fn of(&self, number: usize, halved: bool) -> (&[f32], usize) {
        if halved { (&self.halves[number - 1], self.stride / 2) } else { (&self.whole[number], self.stride) }
    }
}

/// Luminance and colour differences (JFIF 1.02; ITU-R BT.601).
#[inline(always)]
fn colours(pixels: &[u8], y: &mut [f32], cb: &mut [f32], cr: &mut [f32]) {
    for (((pixel, y), cb), cr) in pixels.chunks_exact(3).zip(y).zip(cb).zip(cr) {
        let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
        *y = 0.299 * red + 0.587 * green + 0.114 * blue - 128.0;
        *cb = 0.5 * blue - 0.168_735_9 * red - 0.331_264_1 * green;
        *cr = 0.5 * red - 0.418_687_6 * green - 0.081_312_4 * blue;
    }
}

#[inline(always)]
fn gray(pixels: &[u8], y: &mut [f32]) {
    for (pixel, y) in pixels.iter().zip(y) {
        *y = f32::from(*pixel) - 128.0;
    }
}

fn extend(line: &mut [f32], width: usize) {
    let (pixels, beyond) = line.split_at_mut(width);
    beyond.fill(pixels[width - 1]);
}

/// Means of two by two samples.
#[inline(always)]
fn halve(upper: &[f32], lower: &[f32], half: &mut [f32]) {
    for ((half, upper), lower) in half.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
        *half = (upper[0] + upper[1] + lower[0] + lower[1]) * 0.25;
    }
}
