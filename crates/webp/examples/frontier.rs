//! Bytes at equal SSIMULACRA2, and time, against libwebp: `make bench-render ONLY=webp-frontier`.
//!
//! Arguments: pictures as binary PPM files. From the environment: `EFFORTS` and `METHODS`, what is compared with libwebp's
//! method 4 (`speed,balanced,best` and `0,1,2,3,4,5,6`); `QUALITIES` (`50,65,80,90`); `TIMES`, how often each file is encoded for
//! the times (3). Times are processor time of the thread, from planes to file for libwebp and from RGB to file for ours, the
//! least of all runs; encoders take turns.
#![expect(unsafe_code, reason = "calls libwebp")]
#![expect(clippy::cast_precision_loss, reason = "counts and lengths are small")]

use std::{collections::BTreeMap, env, error::Error, fs, mem::zeroed, path::Path, ptr, slice};

use darkroom_webp::{Channels, Effort, Quality, Raster, encode};
use fast_ssim2::{PixelDescriptor, PixelSlice, compute_ssimulacra2};
use libwebp_sys as libwebp;
use rustix::time::{ClockId, clock_gettime};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Encoder {
    Libwebp(u8),
    Ours(&'static str),
}

const REFERENCE: Encoder = Encoder::Libwebp(4);
/// The quality at which times are measured.
const TIMED_QUALITY: u8 = 80;

/// One file.
#[derive(Clone, Copy)]
struct Point {
    bytes: f64,
    score: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let list = |name: &str, default: &str| -> Vec<String> {
        let value = env::var(name).unwrap_or_else(|_| default.into());
        value.split(',').filter(|word| !word.is_empty()).map(Into::into).collect()
    };
    let mut encoders = vec![];
    for effort in list("EFFORTS", "speed,balanced,best") {
        encoders.push(Encoder::Ours(match effort.as_str() {
            "speed" => "speed",
            "balanced" => "balanced",
            _ => "best",
        }));
    }
    for method in list("METHODS", "0,1,2,3,4,5,6") {
        encoders.push(Encoder::Libwebp(method.parse()?));
    }
    if !encoders.contains(&REFERENCE) {
        encoders.push(REFERENCE);
    }
    let qualities: Vec<u8> =
        list("QUALITIES", "50,65,80,90").iter().map(|quality| quality.parse()).collect::<Result<_, _>>()?;
    let times: usize = list("TIMES", "3")[0].parse()?;
    let mut ratios: BTreeMap<Encoder, Vec<f64>> = BTreeMap::new();
    let mut spent: BTreeMap<Encoder, f64> = BTreeMap::new();
    let mut at_timed: BTreeMap<Encoder, (f64, f64)> = BTreeMap::new();
    let mut pixels = 0.0;
    let files: Vec<String> = env::args().skip(1).collect();
    for path in &files {
        let picture = read_ppm(&fs::read(path)?)?;
        pixels += f64::from(picture.width) * f64::from(picture.height);
        let mut curves: BTreeMap<Encoder, Vec<Point>> = BTreeMap::new();
        for encoder in &encoders {
            for quality in &qualities {
                let point = cached_point(path, &picture, *encoder, *quality)?;
                curves.entry(*encoder).or_default().push(point);
                if *quality == TIMED_QUALITY {
                    let sums = at_timed.entry(*encoder).or_default();
                    sums.0 += point.bytes;
                    sums.1 += point.score / files.len() as f64;
                }
            }
        }
        let mut least: BTreeMap<Encoder, f64> = BTreeMap::new();
        for _ in 0..times {
            for encoder in &encoders {
                let seconds = run(&picture, *encoder, TIMED_QUALITY)?.1;
                let entry = least.entry(*encoder).or_insert(f64::MAX);
                *entry = entry.min(seconds);
            }
        }
        for encoder in &encoders {
            *spent.entry(*encoder).or_default() += least.get(encoder).copied().unwrap_or(0.0);
            let ratio = bytes_at_equal_score(&curves[&REFERENCE], &curves[encoder]);
            if env::var_os("VERBOSE").is_some() {
                println!("{path} {encoder:?} {:+.2} %", (ratio - 1.0) * 100.0);
            }
            ratios.entry(*encoder).or_default().push(ratio);
        }
    }
    println!(
        "| encoder | ms/MP | × method 4 | bytes, mean | worst decile | worst | quality {TIMED_QUALITY}: bytes | score |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for encoder in &encoders {
        let mut ratios = ratios[encoder].clone();
        ratios.sort_by(f64::total_cmp);
        let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let percent = |ratio: f64| (ratio - 1.0) * 100.0;
        let name = match encoder {
            Encoder::Libwebp(method) => format!("libwebp, method {method}"),
            Encoder::Ours(effort) => format!("Darkroom, {effort}"),
        };
        let (bytes, score) = at_timed.get(encoder).copied().unwrap_or_default();
        println!(
            "| {name} | {:.1} | {:.2} | {:+.1} % | {:+.1} % | {:+.1} % | {bytes} | {score:.2} |",
            spent[encoder] * 1e9 / pixels,
            spent[&REFERENCE] / spent[encoder],
            percent(mean),
            percent(ratios[(ratios.len() * 9).div_ceil(10) - 1]),
            percent(ratios[ratios.len() - 1]),
        );
    }
    Ok(())
}

/// The mean ratio of bytes, over the scores that both curves reach; logarithms of bytes are interpolated.
fn bytes_at_equal_score(reference: &[Point], other: &[Point]) -> f64 {
    let at = |curve: &[Point], score: f64| -> Option<f64> {
        curve.windows(2).find(|pair| pair[0].score <= score && score <= pair[1].score).map(|pair| {
            let part = (score - pair[0].score) / (pair[1].score - pair[0].score).max(1e-9);
            pair[0].bytes.ln() * (1.0 - part) + pair[1].bytes.ln() * part
        })
    };
    let low = reference[0].score.max(other[0].score);
    let high = reference[reference.len() - 1].score.min(other[other.len() - 1].score);
    let ratios: Vec<f64> = (0..=40)
        .filter_map(|step| {
            let score = low + (high - low) * f64::from(step) / 40.0;
            Some(at(other, score)? - at(reference, score)?)
        })
        .collect();
    (ratios.iter().sum::<f64>() / ratios.len().max(1) as f64).exp()
}

/// Bytes and score; those of libwebp are kept in the folder `CACHE`, if there is one.
fn cached_point(path: &str, picture: &Raster<u8>, encoder: Encoder, quality: u8) -> Result<Point, Box<dyn Error>> {
    let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
    let cache = env::var("CACHE").ok().filter(|_| matches!(encoder, Encoder::Libwebp(_)));
    let entry = cache.map(|folder| format!("{folder}/{stem}-{encoder:?}-{quality}"));
    if let Some(text) = entry.as_ref().and_then(|entry| fs::read_to_string(entry).ok()) {
        let mut words = text.split(' ').map(str::parse);
        if let (Some(Ok(bytes)), Some(Ok(score))) = (words.next(), words.next()) {
            return Ok(Point { bytes, score });
        }
    }
    let file = run(picture, encoder, quality)?.0;
    let shown = decode(&file, picture);
    let slice = |samples| {
        PixelSlice::new(samples, picture.width, picture.height, picture.width as usize * 3, PixelDescriptor::RGB8_SRGB)
    };
    let score = compute_ssimulacra2(&slice(&picture.samples)?, &slice(&shown)?)?;
    let point = Point { bytes: file.len() as f64, score };
    if let Some(entry) = entry {
        fs::write(entry, format!("{} {}", point.bytes, point.score))?;
    }
    Ok(point)
}

/// The file, and the processor time in seconds.
fn run(picture: &Raster<u8>, encoder: Encoder, quality: u8) -> Result<(Vec<u8>, f64), Box<dyn Error>> {
    match encoder {
        Encoder::Ours(effort) => {
            let effort = match effort {
                "speed" => Effort::Speed,
                "balanced" => Effort::Balanced,
                _ => Effort::Best,
            };
            let start = processor_time();
            let file = encode(picture, Quality::new(quality).ok_or("a quality of 1 to 100")?, effort)?;
            Ok((file, processor_time() - start))
        }
        Encoder::Libwebp(method) => libwebp_encode(picture, method, quality),
    }
}

/// Processor time of this thread, in seconds.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn libwebp_encode(raster: &Raster<u8>, method: u8, quality: u8) -> Result<(Vec<u8>, f64), Box<dyn Error>> {
    let mut config = libwebp::WebPConfig::new().map_err(|()| "libwebp has another version")?;
    config.quality = quality.into();
    config.method = method.into();
    config.filter_sharpness = 3;
    config.sns_strength = 58;
    let mut picture = libwebp::WebPPicture::new().map_err(|()| "libwebp has another version")?;
    (picture.width, picture.height) = (raster.width.cast_signed(), raster.height.cast_signed());
    // SAFETY: the samples have three bytes a pixel; the writer lives until it is cleared.
    unsafe {
        let mut writer: libwebp::WebPMemoryWriter = zeroed();
        libwebp::WebPMemoryWriterInit(&raw mut writer);
        picture.writer = Some(libwebp::WebPMemoryWrite);
        picture.custom_ptr = (&raw mut writer).cast();
        libwebp::WebPPictureImportRGB(&raw mut picture, raster.samples.as_ptr(), raster.width.cast_signed() * 3);
        let start = processor_time();
        let encoded = libwebp::WebPEncode(&raw const config, &raw mut picture);
        let seconds = processor_time() - start;
        assert!(encoded != 0, "libwebp cannot encode the picture");
        let file = slice::from_raw_parts(writer.mem, writer.size).to_vec();
        libwebp::WebPMemoryWriterClear(&raw mut writer);
        libwebp::WebPPictureFree(&raw mut picture);
        Ok((file, seconds))
    }
}

fn decode(file: &[u8], picture: &Raster<u8>) -> Vec<u8> {
    let (mut width, mut height) = (0, 0);
    // SAFETY: pointer and length are of one slice; the result has three bytes a pixel.
    unsafe {
        let pixels = libwebp::WebPDecodeRGB(file.as_ptr(), file.len(), &raw mut width, &raw mut height);
        assert!(!ptr::eq(pixels, ptr::null()), "libwebp refuses a file");
        let samples = slice::from_raw_parts(pixels, picture.samples.len()).to_vec();
        libwebp::WebPFree(pixels.cast());
        samples
    }
}

fn read_ppm(file: &[u8]) -> Result<Raster<u8>, Box<dyn Error>> {
    let mut fields = file.splitn(4, u8::is_ascii_whitespace);
    let mut field = || fields.next().ok_or("not a PPM file");
    if field()? != b"P6" {
        return Err("not a binary PPM file".into());
    }
    let width = str::from_utf8(field()?)?.parse()?;
    let height = str::from_utf8(field()?)?.parse()?;
    let samples = field()?.splitn(2, u8::is_ascii_whitespace).nth(1).ok_or("no pixels")?.to_vec();
    Ok(Raster { width, height, channels: Channels::Rgb, samples })
}
