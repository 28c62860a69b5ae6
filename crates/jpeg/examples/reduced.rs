//! The time of decoding JPEGs at reduced sizes: `cargo run --release -p darkroom-jpeg --example reduced -- FILE…`. Prints the
//! shortest of ten runs, in milliseconds, at one to four eighths of the size.

use std::{env, fs, time::Instant};

use darkroom_jpeg::decode_reduced;

fn main() -> std::io::Result<()> {
    for path in env::args().skip(1) {
        let file = fs::read(&path)?;
        let frame = file.windows(4).position(|bytes| matches!(bytes, [0xFF, 0xC0..=0xC2, 0, 11 | 17]));
        let Some(at) = frame else { continue };
        let side = |at: usize| u32::from(u16::from_be_bytes([file[at], file[at + 1]]));
        let size = (side(at + 7), side(at + 5));
        print!("{path}");
        for eighths in 1..=4 {
            let times = (0..10).map(|_| {
                let start = Instant::now();
                let decoded = decode_reduced(&file, size, eighths);
                (start.elapsed().as_secs_f64() * 1_000.0, format!("{:?}", decoded.map(|raster| raster.width)))
            });
            let (time, result) =
                times.fold((f64::MAX, String::new()), |best, run| if run.0 < best.0 { run } else { best });
            print!("  {eighths}/8 {time:.2} {result}");
        }
        println!();
    }
    Ok(())
}
