use std::io::Cursor;

use darkroom_test_pictures::{self as pictures, Av1, Heif, Hevc};
use proptest::prelude::*;

use darkroom_model::FailureCode;

use super::*;

fn read_bytes(bytes: &[u8]) -> Result<Header, HeaderError> {
    read(&mut Cursor::new(bytes), &HeaderLimits::default())
}

fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&[0xFF, marker], &length[..], body].concat()
}

fn jpeg_with(sof: u8, width: u16, height: u16, components: u8, scans: usize) -> Vec<u8> {
    let mut frame = vec![8];
    frame.extend(height.to_be_bytes());
    frame.extend(width.to_be_bytes());
    frame.push(components);
    (1..=components).for_each(|id| frame.extend([id, 0x11, 0]));
    let mut file = vec![0xFF, 0xD8];
    file.extend(segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"));
    file.extend(segment(sof, &frame));
    for _ in 0..scans {
        file.extend(segment(0xDA, &[1, 1, 0, 0, 63, 0]));
        // Data with a stuffed FF, a restart marker and fill bytes.
        file.extend([1, 2, 0xFF, 0x00, 3, 0xFF, 0xD0, 4, 0xFF]);
    }
    file.extend([0xFF, 0xD9]);
    file
}

fn chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &kind, body, &[0; 4]].concat()
}

fn png_with(width: u32, height: u32, depth: u8, colour: u8, extra: &[Vec<u8>]) -> Vec<u8> {
    let mut ihdr = width.to_be_bytes().to_vec();
    ihdr.extend(height.to_be_bytes());
    ihdr.extend([depth, colour, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1A\n".to_vec();
    file.extend(chunk(*b"IHDR", &ihdr));
    file.extend(extra.concat());
    file.extend(chunk(*b"IDAT", &[1, 2, 3]));
    file.extend(chunk(*b"IEND", &[]));
    file
}

fn animation_control(frames: u32) -> Vec<u8> {
    chunk(*b"acTL", &[frames.to_be_bytes(), [0; 4]].concat())
}

fn frame_control(width: u32, height: u32, left: u32) -> Vec<u8> {
    let mut body = [0, width, height, left, 0].map(u32::to_be_bytes).concat();
    body.extend([0; 6]);
    chunk(*b"fcTL", &body)
}

fn riff(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (kind, data) in chunks {
        body.extend(*kind);
        body.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        body.extend(data);
        body.extend(vec![0; data.len() % 2]);
    }
    [b"RIFF", &u32::try_from(body.len()).unwrap().to_le_bytes()[..], &body].concat()
}

fn lossy(width: u16, height: u16) -> Vec<u8> {
    let mut data = vec![0x10, 0, 0, 0x9D, 0x01, 0x2A];
    data.extend(width.to_le_bytes());
    data.extend(height.to_le_bytes());
    data.extend([7; 5]);
    data
}

fn lossless(width: u32, height: u32) -> Vec<u8> {
    let mut data = vec![0x2F];
    data.extend(((width - 1) | ((height - 1) << 14)).to_le_bytes());
    data
}

fn extended(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let mut data = vec![flags, 0, 0, 0];
    data.extend(&(width - 1).to_le_bytes()[..3]);
    data.extend(&(height - 1).to_le_bytes()[..3]);
    data
}

fn animation_frame(width: u32, height: u32) -> Vec<u8> {
    let mut data = vec![0; 6];
    data.extend(&(width - 1).to_le_bytes()[..3]);
    data.extend(&(height - 1).to_le_bytes()[..3]);
    data.extend([0; 9]);
    data
}

fn gif_with(width: u16, height: u16, frames: &[(u16, u16)]) -> Vec<u8> {
    let mut file = b"GIF89a".to_vec();
    file.extend(width.to_le_bytes());
    file.extend(height.to_le_bytes());
    file.extend([0x80, 0, 0]);
    file.extend([0; 6]);
    for (w, h) in frames {
        file.extend([0x21, 0xF9, 4, 0, 10, 0, 0, 0]);
        file.extend([0x2C, 0, 0, 0, 0]);
        file.extend(w.to_le_bytes());
        file.extend(h.to_le_bytes());
        file.extend([0, 2, 3, 1, 2, 3, 1, 9, 0]);
    }
    file.push(0x3B);
    file
}

fn tiff(fields: &[(u16, u16)]) -> Vec<u8> {
    let fields = fields.to_vec();
    pictures::Tiff { width: 4, height: 2, channels: 3, bits: 8, photometric: 2, fields, blobs: Vec::new() }
        .encode(&[7; 24])
}

fn valid_files() -> Vec<(Vec<u8>, Header)> {
    use SourceFormat::{Avif as AvifFile, Bmp, Gif, Jpeg, Jxl, Png, Tiff, Webp};

    let header = |format, width: u32, height: u32, frames, scans, bits_per_pixel| Header {
        decoded_pixels: u64::from(width * height),
        format,
        width,
        height,
        frames,
        scans,
        bits_per_pixel,
    };
    vec![
        (jpeg_with(0xC0, 640, 480, 3, 1), header(Jpeg, 640, 480, 1, 1, 24)),
        (jpeg_with(0xC2, 31, 17, 1, 10), header(Jpeg, 31, 17, 1, 10, 8)),
        (jpeg_with(0xC1, 8, 8, 4, 1), header(Jpeg, 8, 8, 1, 1, 32)),
        (jpeg_with(0xC9, 8, 8, 3, 1), header(Jpeg, 8, 8, 1, 1, 24)),
        (jpeg_with(0xCA, 8, 8, 3, 5), header(Jpeg, 8, 8, 1, 5, 24)),
        (png_with(1, 2, 16, 6, &[]), header(Png, 1, 2, 1, 1, 64)),
        (png_with(300, 200, 4, 3, &[]), header(Png, 300, 200, 1, 1, 24)),
        (png_with(300, 200, 4, 3, &[chunk(*b"tRNS", &[0])]), header(Png, 300, 200, 1, 1, 32)),
        (png_with(300, 200, 16, 0, &[chunk(*b"tRNS", &[0; 2])]), header(Png, 300, 200, 1, 1, 32)),
        (png_with(300, 200, 8, 6, &[chunk(*b"tRNS", &[0; 2])]), header(Png, 300, 200, 1, 1, 32)),
        (
            png_with(
                9,
                9,
                8,
                2,
                &[
                    animation_control(2),
                    frame_control(9, 9, 0),
                    chunk(*b"IDAT", &[1]),
                    frame_control(1, 1, 8),
                    chunk(*b"fdAT", &[0; 9]),
                ],
            ),
            header(Png, 9, 9, 2, 1, 24),
        ),
        (riff(&[(b"VP8 ", lossy(1024, 772))]), header(Webp, 1024, 772, 1, 1, 24)),
        (riff(&[(b"VP8L", lossless(16_383, 3))]), header(Webp, 16_383, 3, 1, 1, 32)),
        (
            riff(&[
                (b"VP8X", extended(0x10, 5, 6)),
                (b"ICCP", vec![1; 3]),
                (b"ALPH", vec![0; 7]),
                (b"VP8 ", lossy(5, 6)),
                (b"EXIF", vec![1]),
            ]),
            header(Webp, 5, 6, 1, 1, 32),
        ),
        (
            riff(&[
                (b"VP8X", extended(0x02, 50, 60)),
                (b"ANIM", vec![0; 6]),
                (b"ANMF", animation_frame(50, 60)),
                (b"ANMF", animation_frame(1, 60)),
            ]),
            header(Webp, 50, 60, 2, 1, 24),
        ),
        (gif_with(20, 10, &[(20, 10), (30, 30)]), Header { decoded_pixels: 900, ..header(Gif, 20, 10, 2, 1, 32) }),
        (gif_with(5, 5, &[(20, 10), (30, 30)]), Header { decoded_pixels: 900, ..header(Gif, 20, 10, 2, 1, 32) }),
        (gif_with(0, 0, &[(7, 9)]), header(Gif, 7, 9, 1, 1, 32)),
        (Heif::avif(Av1::Half).encode(), header(AvifFile, 32, 16, 1, 1, 24)),
        (Heif::avif(Av1::Ten).with_alpha(true).encode(), header(AvifFile, 32, 16, 1, 1, 64)),
        (Heif::avif(Av1::Gray).with_exif(b"II*\0").turned(Some(1), None).encode(), header(AvifFile, 32, 16, 1, 1, 8)),
        (Heif::heic(Hevc::Half).encode(), header(SourceFormat::Heic, 64, 64, 1, 1, 24)),
        (pictures::jxl(false), header(Jxl, 32, 16, 1, 1, 128)),
        (pictures::jxl_container(*b"xml ", b"<x/>"), header(Jxl, 32, 16, 1, 1, 128)),
        (pictures::bmp(5, 3, |_, _| [1, 2, 3]), header(Bmp, 5, 3, 1, 1, 32)),
        (tiff(&[]), header(Tiff, 4, 2, 1, 1, 24)),
    ]
}

#[test]
fn a_header_has_format_size_frames_and_scans() {
    for (file, expected) in valid_files() {
        assert_eq!(read_bytes(&file).unwrap(), expected);
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_or_only_lacks_its_end_marker() {
    for (file, expected) in valid_files() {
        for length in 16..file.len() {
            match read_bytes(&file[..length]) {
                Err(HeaderError::Truncated { .. } | HeaderError::Broken(_)) => {}
                // These formats are read up to the last whole scan, frame or chunk.
                Ok(header) if expected.format != SourceFormat::Png => assert_eq!(header.width, expected.width),
                // A still PNG may lack what follows its pixels.
                Ok(header) if expected.frames == 1 && file[..length].windows(4).any(|kind| kind == b"IDAT") => {
                    assert_eq!(header, expected);
                }
                other => panic!("{:?} cut to {length}: {other:?}", expected.format),
            }
        }
    }
}

#[test]
fn a_second_picture_after_the_first_is_ignored() {
    let first = jpeg_with(0xC0, 640, 480, 3, 1);
    let both = [first.clone(), jpeg_with(0xC2, 9999, 9999, 3, 60)].concat();
    assert_eq!(read_bytes(&both).unwrap(), read_bytes(&first).unwrap());
}

#[test]
fn unsupported_jpeg_processes_are_named() {
    for (sof, what) in [(0xC3, "lossless"), (0xC5, "hierarchical"), (0xCB, "lossless")] {
        let error = read_bytes(&jpeg_with(sof, 8, 8, 3, 1)).unwrap_err();
        assert!(matches!(error, HeaderError::Unsupported { detected: Some(_) }));
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn common_unsupported_files_are_named() {
    for (bytes, what) in [
        (&b"%PDF-1.7 ......."[..], "a PDF"),
        (b"\n <svg xmlns=''/>", "an SVG"),
        (b"II+\0............", "a BigTIFF"),
        (b"\0\0\0\x18ftyphevc....msf1hevc", "an image sequence in HEVC"),
        (b"\0\0\0\x18ftypmif3\0\0\0\0mif3mif3", "a HEIF of an unusual kind"),
        (b"\0\0\0\x10ftypmif3avci", "a HEIF with H.264"),
        (b"\0\0\0\x18ftypmif1....mif1miaf", "a HEIF of an unusual kind"),
        (b"\0\0\0\x18ftypjpeg....mif1jpeg", "a HEIF that holds a JPEG"),
        (b"\0\0\0\x18ftypmif1....mif1j2ki", "a HEIF that holds a JPEG 2000"),
        (b"\0\0\0\x18ftypavci....mif1avci", "a HEIF with H.264"),
        (b"\0\0\0\x18ftypvvic....mif1vvic", "a HEIF with H.266"),
        (b"\0\0\0\x18ftypmp42....mp42isom", "a video"),
        (b"<!DOCTYPE html>..", "a web page"),
        (b"", "an empty file"),
    ] {
        match read_bytes(bytes) {
            Err(HeaderError::Unsupported { detected }) => assert_eq!(detected, Some(what)),
            other => panic!("{what}: {other:?}"),
        }
    }
    assert!(matches!(read_bytes(b"hello"), Err(HeaderError::Unsupported { detected: None })));
}

#[test]
fn an_exceeded_limit_is_named_with_its_maximum() {
    let bombs = [
        (png_with(65_536, 65_536, 1, 0, &[]), Limit::Pixels, 65_536 * 65_536),
        (png_with(100_000, 2, 8, 0, &[]), Limit::Width, 100_000),
        (jpeg_with(0xC0, 20_000, 14_000, 1, 1), Limit::Pixels, 280_000_000),
        (jpeg_with(0xC2, 8_000, 8_000, 3, 1_000), Limit::Scans, 65),
        (riff(&[(b"VP8L", lossless(16_383, 16_383))]), Limit::Pixels, 16_383 * 16_383),
        (gif_with(65_535, 65_535, &[(1, 1)]), Limit::Pixels, 65_535 * 65_535),
        (gif_with(1, 1, &[(65_535, 65_535)]), Limit::Pixels, 65_535 * 65_535),
        (gif_with(1, 1, &vec![(1, 1); 1_001]), Limit::Frames, 1_001),
        (gif_with(2_000, 2_000, &[(1, 1); 26]), Limit::Pixels, 104_000_000),
    ];
    for (file, expected, count) in bombs {
        match read_bytes(&file) {
            Err(HeaderError::TooLarge { limit, max, found }) => {
                assert_eq!((limit, found), (expected, count));
                assert!(max < count);
            }
            other => panic!("{expected:?}: {other:?}"),
        }
    }
}

#[test]
fn a_raw_file_is_named() {
    let error = read_bytes(&tiff(&[(50_706, 1)])).unwrap_err();
    assert!(matches!(error, HeaderError::Unsupported { detected: Some("a camera's raw file") }), "{error}");
}

/// The file with the directory of a thumbnail before that of its picture, or with its picture in the thumbnail's `SubIFDs`.
fn with_thumbnail_first(file: &[u8], in_sub_ifds: bool) -> Vec<u8> {
    let picture = u32::from_le_bytes(file[4..8].try_into().unwrap());
    let mut fields =
        vec![(254, 1), (256, 2), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 2)];
    if in_sub_ifds {
        fields.push((330, picture));
    }
    let mut directory = u16::try_from(fields.len()).unwrap().to_le_bytes().to_vec();
    for (tag, value) in fields {
        let tag: u16 = tag;
        directory.extend([&tag.to_le_bytes()[..], &[4, 0, 1, 0, 0, 0], &value.to_le_bytes()].concat());
    }
    directory.extend(if in_sub_ifds { 0 } else { picture }.to_le_bytes());
    let first = u32::try_from(file.len()).unwrap().to_le_bytes();
    [&file[..4], &first, &file[8..], &directory].concat()
}

#[test]
fn the_picture_of_a_tiff_is_the_first_one_that_is_no_reduced_version() {
    for in_sub_ifds in [false, true] {
        let header = read_bytes(&with_thumbnail_first(&tiff(&[]), in_sub_ifds)).unwrap();
        assert_eq!((header.width, header.height, header.bits_per_pixel), (4, 2, 24));
        let raw = with_thumbnail_first(&tiff(&[(50_706, 1)]), in_sub_ifds);
        assert!(matches!(read_bytes(&raw), Err(HeaderError::Unsupported { .. })));
    }
    // Where all are reduced versions, the first one is all that there is.
    assert_eq!(read_bytes(&tiff(&[(254, 1)])).unwrap().width, 4);
    let twice = with_thumbnail_first(&tiff(&[(254, 1)]), false);
    assert_eq!(read_bytes(&twice).unwrap().width, 2);
}

#[test]
fn directories_in_a_circle_come_to_an_end() {
    let mut file = with_thumbnail_first(&tiff(&[]), false);
    let (first, end) = (file[4..8].to_vec(), file.len() - 4);
    file[end..].copy_from_slice(&first);
    assert_eq!(read_bytes(&file).unwrap().width, 2);
}

#[test]
fn a_frame_or_a_tile_larger_than_the_picture_counts_as_decoded_pixels() {
    let header = read_bytes(&gif_with(10, 10, &[(300, 200), (400, 300)])).unwrap();
    assert_eq!((header.pixels(), header.decoded_pixels), (2 * 300 * 200, 120_000));
    let tiled = |width, length| tiff(&[(322, width), (323, length)]);
    assert_eq!(read_bytes(&tiled(512, 256)).unwrap().decoded_pixels, 512 * 256);
    assert_eq!(read_bytes(&tiled(2, 2)).unwrap().decoded_pixels, 4 * 2, "the picture is larger than its tiles");
    assert!(matches!(
        read_bytes(&tiled(60_000, 60_000)),
        Err(HeaderError::TooLarge { limit: Limit::Pixels, found: 3_600_000_000, .. })
    ));
}

#[test]
fn the_size_of_a_jpeg_xl_is_that_after_orientation() {
    // Least significant bit first: small, height 16, width 32, not all_default, extra_fields, orientation less one.
    let with_orientation = |orientation: u32| {
        let bits: u32 = 1 | 1 << 1 | 3 << 9 | 1 << 15 | (orientation - 1) << 16;
        [&[0xFF, 0x0A], &bits.to_le_bytes()[..], &[0; 20]].concat()
    };
    for (orientation, expected) in [(1, (32, 16)), (4, (32, 16)), (5, (16, 32)), (8, (16, 32))] {
        let header = read_bytes(&with_orientation(orientation)).unwrap();
        assert_eq!((header.width, header.height), expected, "{orientation}");
    }
}

/// A file on a disk: the kernel refuses to seek far past its end.
struct OnDisk(Cursor<Vec<u8>>);

impl std::io::Read for OnDisk {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for OnDisk {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        match to {
            std::io::SeekFrom::Start(position) if position >= 1 << 44 => Err(std::io::ErrorKind::InvalidInput.into()),
            to => self.0.seek(to),
        }
    }
}

#[test]
fn a_box_that_is_longer_than_any_file_is_cut_short() {
    let long = |length: u64| [&[0, 0, 0, 1][..], b"free", &length.to_be_bytes(), &[0; 16]].concat();
    for length in [17, 1 << 31, 1 << 44, 1 << 62, i64::MAX.unsigned_abs() - 20, 1 << 63, u64::MAX - 8, u64::MAX] {
        let avif = [&b"\0\0\0\x14ftypavif\0\0\0\0avif"[..], &long(length)].concat();
        let in_meta = [&b"\0\0\0\x14ftypavif\0\0\0\0avif\0\0\0\0meta\0\0\0\0"[..], &long(length)].concat();
        let jxl = [&b"\0\0\0\x0CJXL \r\n\x87\n"[..], &long(length)].concat();
        for file in [avif, in_meta, jxl] {
            let error = read(&mut std::io::BufReader::new(OnDisk(Cursor::new(file))), &HeaderLimits::default());
            assert!(
                matches!(error, Err(HeaderError::Truncated { .. } | HeaderError::Broken(_))),
                "{length}: {error:?}"
            );
        }
    }
}

#[test]
fn a_clean_aperture_counts_where_it_begins_in_the_corner() {
    let size = |file: &Heif| {
        let header = read_bytes(&file.encode()).unwrap();
        (header.width, header.height, header.decoded_pixels)
    };
    let full = || Heif::avif(Av1::Full);
    // The centre of 20 × 8 pixels in the corner lies 6 columns and 4 rows before that of the picture.
    assert_eq!(size(&full().with_clean_aperture(20, 8, -12, -8)), (20, 8, 512));
    assert_eq!(size(&full().with_clean_aperture(31, 15, -1, -1)), (31, 15, 512));
    assert_eq!(size(&full().with_clean_aperture(32, 16, 0, 0)), (32, 16, 512));
    for (width, height, right, down) in
        [(20, 8, 0, 0), (20, 8, -13, -8), (40, 8, -12, -8), (0, 8, 0, 0), (20, 8, 12, 8)]
    {
        assert_eq!(size(&full().with_clean_aperture(width, height, right, down)), (32, 16, 512), "{width}");
    }
}

#[test]
fn the_layout_of_an_avif_is_read() {
    let profile = vec![7; 5_000];
    let file = Heif::avif(Av1::Twelve).with_alpha(true).with_profile(&profile).turned(Some(3), Some(1)).encode();
    let layout = avif_layout(&mut Cursor::new(&file)).unwrap();
    assert_eq!((layout.depth, layout.monochrome, layout.premultiplied), (12, false, true));
    assert_eq!((layout.turns, layout.mirror), (3, Some(1)));
    assert_eq!(layout.profile, Some(profile));
    assert_eq!(layout.nclx, Some(heif::Nclx { primaries: 1, transfer: 13, matrix: 6, full_range: true }));
    for (offset, length) in
        layout.colour.tiles.iter().chain(layout.alpha.iter().flat_map(|alpha| &alpha.tiles)).flatten()
    {
        let start = usize::try_from(*offset).unwrap();
        assert!(file[start..start + usize::try_from(*length).unwrap()].starts_with(&[0x12, 0]), "no AV1 data there");
    }
}

#[test]
fn the_frames_of_an_animation_are_those_it_declares_and_has_on_its_canvas() {
    let apng = |declared, frames: &[Vec<u8>]| png_with(9, 9, 8, 2, &[&[animation_control(declared)], frames].concat());
    let frame = frame_control(9, 9, 0);
    // Each frame has data: the first one the default image.
    let data = || chunk(*b"fdAT", &[0; 9]);
    let both = [frame.clone(), chunk(*b"IDAT", &[1]), frame, data()];
    for (declared, frames) in [(3, 2), (2, 2), (1, 1), (0, 1), (u32::MAX, 1)] {
        assert_eq!(read_bytes(&apng(declared, &both)).unwrap().frames, frames, "{declared}");
    }
    assert!(matches!(read_bytes(&apng(1, &[frame_control(9, 9, 1)])), Err(HeaderError::Broken(_))));
    assert!(matches!(read_bytes(&apng(1, &[frame_control(2, 2, u32::MAX)])), Err(HeaderError::Broken(_))));
    let webp = riff(&[(b"VP8X", extended(0x02, 5, 5)), (b"ANMF", animation_frame(6, 5))]);
    assert!(matches!(read_bytes(&webp), Err(HeaderError::Broken(_))));
}

#[test]
fn every_refusal_has_a_sentence_and_a_code() {
    let failure = read_bytes(&gif_with(1, 1, &vec![(1, 1); 1_001])).unwrap_err().failure().unwrap();
    assert_eq!(failure.code, FailureCode::TooLarge);
    assert_eq!(failure.detail, "The picture has 1001 frames; at most 1000 are accepted.");
    let failure = read_bytes(b"%PDF-1.7").unwrap_err().failure().unwrap();
    assert_eq!(failure.code, FailureCode::UnsupportedFormat);
    assert_eq!(failure.detail, "This is a PDF; JPEG, PNG, WebP, GIF, AVIF, HEIC, JPEG XL, TIFF and BMP are read.");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read_bytes(&bytes);
    }

    #[test]
    fn random_bytes_after_a_signature_never_panic(
        signature in prop::sample::select(vec![
            &b"\xFF\xD8\xFF"[..], b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0",
            b"\0\0\0\x14ftypavif\0\0\0\0avif", b"\0\0\0\x14ftypavif\0\0\0\0avif\0\0\0\x60meta\0\0\0\0",
            b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", b"\xFF\x0A",
            b"\0\0\0\x0CJXL \x0D\x0A\x87\x0A",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let _ = read_bytes(&[signature, &bytes].concat());
    }

    #[test]
    fn a_mutated_file_is_refused_or_stays_within_the_limits(
        pick in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let files = valid_files();
        let mut file = files[pick.index(files.len())].0.clone();
        for (at, value) in edits {
            let at = at.index(file.len());
            file[at] = value;
        }
        file.truncate(cut.index(file.len() * 4).max(1));
        if let Ok(header) = read_bytes(&file) {
            let limits = HeaderLimits::default();
            prop_assert!(header.width >= 1 && header.height >= 1 && header.frames >= 1 && header.scans >= 1);
            prop_assert!(header.pixels() <= limits.pixels && header.frames <= limits.frames);
        }
    }
}

/// A file on a filesystem with a maximum file size, as all have: `lseek` fails with EINVAL past it.
struct LimitedFile<'a>(Cursor<&'a [u8]>);

impl std::io::Read for LimitedFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for LimitedFile<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
    }
}

impl Seek for LimitedFile<'_> {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        use std::io::{ErrorKind, SeekFrom};
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.0.position().checked_add_signed(by),
            SeekFrom::End(by) => (self.0.get_ref().len() as u64).checked_add_signed(by),
        };
        let position = position.filter(|position| *position < 1 << 44).ok_or(ErrorKind::InvalidInput)?;
        self.0.seek(SeekFrom::Start(position))
    }
}

#[test]
fn a_size_past_the_maximum_file_size_means_truncated() {
    let large_box = |kind: &[u8; 4], size: u64| [b"\0\0\0\x01", &kind[..], &size.to_be_bytes()].concat();
    let jxl = b"\0\0\0\x0CJXL \r\n\x87\n".as_slice();
    let avif = b"\0\0\0\x14ftypavif\0\0\0\0mif1".as_slice();
    for size in [1 << 44, i64::MAX as u64 - 8, i64::MAX as u64 + 8, u64::MAX] {
        for start in [jxl, avif] {
            let file = [start, &large_box(b"skip", size), &[0; 100]].concat();
            let error = read(&mut LimitedFile(Cursor::new(&file)), &HeaderLimits::default()).unwrap_err();
            assert!(matches!(error, HeaderError::Truncated { .. }), "{size:#x}: {error}");
        }
    }
}

proptest! {
    #[test]
    fn no_content_makes_reading_a_file_fail(tail: Vec<u8>, start in 0..4usize) {
        let start: &[u8] =
            [b"\0\0\0\x0CJXL \r\n\x87\n".as_slice(), b"\0\0\0\x14ftypavif\0\0\0\0mif1", b"II*\0", b"RIFF"][start];
        let file = [start, &tail].concat();
        let result = read(&mut LimitedFile(Cursor::new(&file)), &HeaderLimits::default());
        prop_assert!(!matches!(result, Err(HeaderError::Io(_))), "{result:?}");
    }
}
